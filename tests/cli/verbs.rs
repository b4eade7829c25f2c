//! What each verb shows: to a person, and with `--json` to a script.

use super::harness::*;
use std::fs;

// ---------------------------------------------------------------------------------------------------------------- init

#[test]
fn init_says_what_it_wrote_and_the_second_time_changes_nothing() {
    let home = Home::empty();
    let first = home.approve(&["init", "--software-key", "laptop"]).ok();
    first.says(
        &home,
        "wrote ~/.config/elevate/authority.toml
wrote ~/.config/elevate/policy.cedar
wrote ~/.config/elevate/schema.cedarschema
enrolled laptop: a software key, a file on this device
next: declare your resources in ~/.config/elevate/authority.toml
",
    );
    similar(
        &first.tty,
        "
elevate: enrol a software key?
  It is a file on this device: whoever can read it can use it.
Press Enter to approve with the new software key 'laptop', Ctrl-C to refuse: ",
    );
    assert_eq!(first.stderr, "");

    let before = bytes_below(&home.config());
    let second = home.approve(&["init", "--software-key", "laptop"]).ok();
    second.says(&home, "everything is set up already; nothing was changed\n");
    assert_eq!(second.tty, "", "nobody is asked again");
    assert_eq!(bytes_below(&home.config()), before);
    assert_eq!(home.elevate(&["--json", "init"]).ok().json()["changed"], serde_json::json!([]));
}

#[test]
fn init_makes_directories_and_files_for_this_account_alone() {
    must_not_be_root();
    let home = Home::set_up();
    home.approve(&["prod-api"]).ok();
    let data = ["authority", "device", "device/authorities/embedded/receipts", "device/software-keys"]
        .map(|name| home.data().join(name));
    for directory in data.iter().chain([&home.config(), &home.runtime.join("elevate")]) {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let allowed = if entry.file_type().unwrap().is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&entry.path()), allowed, "{}", entry.path().display());
        }
    }
}

#[test]
fn init_without_a_key_needs_nobody_and_forbids_software_keys() {
    let home = Home::empty();
    let done = home.elevate(&["init"]).ok();
    done.says(
        &home,
        "wrote ~/.config/elevate/authority.toml
wrote ~/.config/elevate/policy.cedar
wrote ~/.config/elevate/schema.cedarschema
no key is enrolled yet: `elevate key enroll` adds one
next: declare your resources in ~/.config/elevate/authority.toml
",
    );
    let refused = home.approve(&["key", "enroll", "--software", "laptop"]).exits(3);
    refused.complains(
        &home,
        "elevate: software keys are not allowed here
  enrol a hardware key, or set `allow_software_keys = true` in authority.toml
",
    );
    home.elevate(&["key", "list"]).ok().says(&home, "no keys; `elevate key enroll` adds one\n");
}

#[test]
fn init_as_json_is_one_object() {
    let home = Home::empty();
    let done = home.elevate(&["init", "--json"]).ok();
    let changed = done.json()["changed"].as_array().unwrap().len();
    assert_eq!((changed, done.stderr.as_str()), (3, ""));
}

#[test]
fn before_init_every_verb_says_to_run_it() {
    let home = Home::empty();
    for words in [&["list"][..], &["wiki"], &["token", "wiki"], &["key", "list"], &["audit", "verify"]] {
        home.elevate(words).exits(6).complains(
            &home,
            "elevate: there is no authority on this machine yet\n  run `elevate init` to set one up\n",
        );
    }
    home.elevate(&["status"]).ok().says(&home, "no grants\n");
    home.elevate(&["-K"]).ok().complains(&home, "elevate: nothing was held\n");
    home.elevate(&["drop", "wiki"]).exits(1).complains(&home, "elevate: wiki is not held\n");
    assert!(!home.config().exists(), "asking changes nothing");
}

// -------------------------------------------------------------------------------------------------- list, status, drop

#[test]
fn list_status_and_drop_tell_what_may_be_had_and_what_is_held() {
    let home = Home::set_up();
    home.elevate(&["list"]).ok().says(
        &home,
        "RESOURCE  TAKES  HELD  DESCRIPTION
prod-api  a touch of your key  -  the production API
prod-db  a touch of your key  -  the production database
tv  nothing more  -  the television
vault  your key and its PIN or biometric  -  what needs a PIN
wiki  nothing more  -  the wiki
",
    );
    home.elevate(&["status"]).ok().says(&home, "no grants\n");
    let not_held = home.elevate(&["status", "wiki"]).exits(1);
    not_held.complains(&home, "elevate: wiki is not held\n  `elevate wiki` asks for it\n");
    assert_eq!(not_held.stdout, "");

    let granted = home.elevate(&["wiki"]).ok();
    assert_eq!(granted.stdout, "", "stdout is for credentials and data");
    granted.complains(&home, "elevate: wiki granted, LEFT left, in the kernel keyring\n");
    home.elevate(&["wiki"]).ok().complains(&home, "elevate: wiki held already, LEFT left, in the kernel keyring\n");

    let held = "RESOURCE  TIME  PROOF  SCOPE  KEPT IN\nwiki  LEFT left  session  read write  kernel keyring\n";
    home.elevate(&["status"]).ok().says(&home, held);
    home.elevate(&["status", "wiki"]).ok().says(&home, held);
    let list = home.elevate(&["-l"]).ok();
    assert!(home.plain(&list.stdout).contains("\nwiki  nothing more  LEFT left  the wiki\n"), "{list:?}");
    home.elevate(&["list"]).ok().says(&home, &home.plain(&list.stdout));

    home.elevate(&["drop", "wiki"]).ok().says(&home, "wiki dropped and revoked\n");
    home.elevate(&["drop", "wiki"]).exits(1).complains(&home, "elevate: wiki is not held\n");
    home.elevate(&["status"]).ok().says(&home, "no grants\n");
}

#[test]
fn list_and_status_as_json() {
    let home = Home::set_up();
    assert_eq!(home.elevate(&["status", "--json"]).ok().json()["grants"], serde_json::json!([]));
    let grant = home.elevate(&["--json", "wiki"]).ok().json()["grant"].clone();
    let status = home.elevate(&["--json", "status"]).ok().json();
    assert_eq!(fields(&status), ["grants", "version"]);
    assert_eq!(status["grants"], serde_json::json!([grant]));
    let all = ["acr", "amr", "authority", "expires_at", "grant_id", "issued_at", "keyring", "resource", "scope"];
    assert_eq!(fields(&grant), all);
    assert_eq!(
        (grant["resource"].as_str(), grant["scope"].as_str(), grant["keyring"].as_str()),
        (Some("wiki"), Some("read write"), Some("kernel keyring"))
    );
    assert_eq!(grant["acr"], "urn:elevate:acr:session");
    assert!(is_time(grant["expires_at"].as_str().unwrap()) && is_time(grant["issued_at"].as_str().unwrap()));
    assert!(grant["authority"].as_str().unwrap().starts_with("https://localhost/"));

    let list = home.elevate(&["--json", "list"]).ok().json();
    assert_eq!(fields(&list), ["resources", "version"]);
    let rows = list["resources"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        assert_eq!(fields(row), ["assurance", "description", "grant", "kind", "resource"]);
        assert_eq!(row["grant"].is_null(), row["resource"] != "wiki");
    }
    let rungs: Vec<_> = rows.iter().map(|row| row["assurance"].as_str().unwrap()).collect();
    assert_eq!(rungs, ["touch", "touch", "session", "verified", "session"]);
    assert_eq!(rows[4]["grant"], grant);

    let error = home.elevate(&["--json", "status", "tv"]).exits(1).error();
    assert_eq!((error["code"].as_str(), error["message"].as_str()), (Some("no"), Some("tv is not held")));
}

#[test]
fn drop_k_and_capital_k_revoke_at_the_authority_too() {
    let home = Home::set_up();
    let token = |resource| home.approve(&["token", resource]).ok().stdout.trim().to_owned();
    let dropped = home.elevate(&["--json", "drop"]).ok().json();
    assert_eq!(dropped["dropped"], serde_json::json!([]), "nothing is held yet");

    for way in [&["drop", "wiki"][..], &["drop"], &["-k"], &["-K"]] {
        let token = token("wiki");
        assert!(home.is_active(&token));
        home.elevate(way).ok().says(&home, "wiki dropped and revoked\n");
        assert!(!home.is_active(&token), "{way:?}");
        home.elevate(&["status", "wiki"]).exits(1);
    }

    let (wiki, api) = (token("wiki"), token("prod-api"));
    home.elevate(&["drop", "wiki"]).ok();
    assert_eq!((home.is_active(&wiki), home.is_active(&api)), (false, true), "only what was named");
    let dropped = home.elevate(&["--json", "-K"]).ok().json();
    assert_eq!(fields(&dropped["dropped"][0]), ["grant_id", "resource", "revoked"]);
    assert_eq!(
        (dropped["dropped"][0]["resource"].as_str(), &dropped["dropped"][0]["revoked"]),
        (Some("prod-api"), &true.into())
    );
    assert!(!home.is_active(&api));
}

// --------------------------------------------------------------------------------------------------------------- token

#[test]
fn token_prints_the_token_and_nothing_else() {
    let home = Home::set_up();
    let first = home.elevate(&["token", "wiki"]).ok();
    assert_eq!(first.stderr, "");
    assert_eq!((first.stdout.matches('\n').count(), first.stdout.matches('.').count()), (1, 2), "{}", first.stdout);
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, first.stdout, "the second time from the keyring");
    assert_eq!(home.issued("wiki"), 1);

    let json = home.elevate(&["token", "wiki", "--json"]).ok().json();
    let all = [
        "access_token",
        "acr",
        "amr",
        "expires_at",
        "grant_id",
        "receipt",
        "resource",
        "scope",
        "token_type",
        "version",
    ];
    assert_eq!(fields(&json), all);
    assert_eq!(json["access_token"].as_str(), Some(first.stdout.trim()));
    assert_eq!((json["resource"].as_str(), json["token_type"].as_str()), (Some("wiki"), Some("DPoP")));
    assert!(json["receipt"].is_object() && is_time(json["expires_at"].as_str().unwrap()));
}

#[test]
fn token_with_k_is_a_new_one_and_leaves_the_old_one_in_place() {
    let home = Home::set_up();
    let first = home.elevate(&["token", "wiki"]).ok().stdout;
    assert_ne!(home.elevate(&["token", "-k", "wiki"]).ok().stdout, first);
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, first);
    home.elevate(&["-v", "wiki"]).ok().complains(&home, "elevate: wiki granted, LEFT left, in the kernel keyring\n");
    assert_ne!(home.elevate(&["token", "wiki"]).ok().stdout, first, "-v put a new one in its place");
    assert_eq!(home.issued("wiki"), 3);
}

#[test]
fn a_grant_that_is_too_short_or_too_narrow_is_not_used() {
    let home = Home::set_up();
    let narrow = home.elevate(&["token", "--scope", "read", "--ttl", "60s", "wiki", "--json"]).ok().json();
    assert_eq!(narrow["scope"], "read");
    let again = home.elevate(&["token", "--scope", "read", "wiki", "--json"]).ok().json();
    assert_eq!(again["access_token"], narrow["access_token"]);
    let wide = home.elevate(&["token", "--scope", "read write", "wiki", "--json"]).ok().json();
    assert_eq!(wide["scope"], "read write");
    let long = home.elevate(&["token", "--min-ttl", "4m", "--scope", "write", "wiki", "--json"]).ok().json();
    assert_eq!(long["access_token"], wide["access_token"], "five minutes are more than four");

    home.elevate(&["token", "-k", "--ttl", "30s", "wiki"]).ok();
    home.elevate(&["drop"]).ok();
    let short = home.elevate(&["token", "--ttl", "30s", "wiki"]).ok().stdout;
    assert_eq!(home.elevate(&["token", "wiki"]).ok().stdout, short);
    assert_ne!(home.elevate(&["token", "--min-ttl", "2m", "wiki"]).ok().stdout, short);
}

#[test]
fn a_secret_is_not_handed_out_as_a_token_and_nobody_is_asked() {
    let home = Home::set_up();
    home.put_secret("prod-db", "hunter2").ok();
    let refused = home.approve(&["token", "prod-db"]).exits(2);
    refused.complains(
        &home,
        "elevate: prod-db is a secret and has no token
  use `elevate prod-db -- COMMAND` or `elevate env prod-db`
",
    );
    assert_eq!((refused.tty.as_str(), refused.stdout.as_str()), ("", ""));
    assert_eq!(home.issued("prod-db"), 0);
}

// ----------------------------------------------------------------------------------------------------------------- env

#[test]
fn env_is_exports_that_a_shell_takes_whatever_the_secret_holds() {
    let home = Home::set_up();
    let secret = "it's \"$HOME\" `id`\\\n  two lines; 東京 $(false)";
    home.put_secret("tv", secret).ok();
    let printed = home.sh(r#"e=$(elevate env tv) && eval "$e" && printf %s "$ELEVATE_SECRET""#).ok();
    assert_eq!((printed.stdout.as_str(), printed.stderr.as_str()), (secret, ""));

    let env = home.elevate(&["env", "tv"]).ok().stdout;
    let names: Vec<_> = env.lines().filter_map(|line| line.strip_prefix("export ")?.split('=').next()).collect();
    assert_eq!(names, ["ELEVATE_RESOURCE", "ELEVATE_GRANT_ID", "ELEVATE_EXPIRES_AT", "ELEVATE_SECRET"]);

    let json = home.elevate(&["env", "tv", "--json"]).ok().json();
    assert_eq!(fields(&json), ["env", "resource", "version"]);
    assert_eq!(json["env"]["ELEVATE_SECRET"], secret);
    let wiki = home.elevate(&["env", "wiki", "--json"]).ok().json();
    assert_eq!(fields(&wiki["env"]), ["ELEVATE_EXPIRES_AT", "ELEVATE_GRANT_ID", "ELEVATE_RESOURCE", "ELEVATE_TOKEN"]);

    let failed = home.sh(r#"e=$(elevate env nothing) && eval "$e"; echo "$?""#);
    assert_eq!(failed.stdout, "2\n", "a failure is seen");
}

// ------------------------------------------------------------------------------------------------------------- explain

#[test]
fn explain_says_what_would_happen_and_why() {
    let home = Home::set_up();
    home.elevate(&["explain", "wiki"]).ok().says(
        &home,
        "wiki: granted as things are, for LEFT at most
  because  low-sensitivity resources need no further proof
  policy  low
  signal  first_use_of_resource: you have not used this resource before
  signal  new_key: all of your keys were enrolled less than a day ago
",
    );
    home.elevate(&["explain", "vault"]).ok().says(
        &home,
        "vault: takes your key and its PIN or biometric, for LEFT at most
  because  critical resources need your key and its PIN or biometric
  policy  critical
  signal  first_use_of_resource: you have not used this resource before
  signal  new_key: all of your keys were enrolled less than a day ago
  way out  it takes your key and its PIN or biometric: enrol one with `elevate key enroll`
",
    );
    let json = home.elevate(&["--json", "explain", "prod-api"]).ok().json();
    for field in ["version", "resource", "decision", "assurance", "max_ttl_s", "signals", "policies", "ways_out"] {
        assert!(json.get(field).is_some(), "{field}: {json}");
    }
    assert_eq!((json["decision"].as_str(), json["assurance"].as_str()), (Some("step_up"), Some("touch")));
    assert_eq!((&json["max_ttl_s"], &json["policies"]), (&300.into(), &serde_json::json!(["sensitive"])));
    assert_eq!(home.elevate(&["--json", "explain", "wiki"]).ok().json()["decision"], "permit");
    home.elevate(&["explain", "wikki"])
        .exits(2)
        .complains(&home, "elevate: there is no resource 'wikki' for you\n  did you mean wiki?\n");
}

#[test]
fn explain_says_who_is_denied() {
    let home = Home::set_up();
    home.write_config("policy.cedar", "@id(\"none\")\nforbid (principal, action, resource);\n");
    let denied = home.elevate(&["explain", "wiki"]).ok();
    assert!(denied.stdout.starts_with("wiki: denied\n"), "{denied:?}");
    assert_eq!(home.elevate(&["--json", "explain", "wiki"]).ok().json()["decision"], "deny");
    let refused = home.elevate(&["wiki"]).exits(3);
    assert!(refused.stderr.contains("`elevate explain"), "{refused:?}");
    let error = home.elevate(&["--json", "wiki"]).exits(3).error();
    assert_eq!(error["code"], "denied");
    assert!(error["elevation"].is_string(), "it names the entry of the log: {error}");
}

// ---------------------------------------------------------------------------------------------------------------- keys

#[test]
fn a_second_key_needs_the_first_ones_touch_and_a_removed_key_opens_nothing() {
    let home = Home::set_up();
    home.elevate(&["key", "list"])
        .ok()
        .says(&home, "KEY  KIND  PROVES  ENROLLED  LAST USED\nlaptop  software  touch  TIME  never\n");

    let enrolled = home.approve(&["key", "enroll", "--software", "spare"]).ok();
    enrolled.says(&home, "spare enrolled: a software key, a file on this device\n");
    let (vouched, made) = enrolled.tty.split_once("elevate: enrol a software key?").expect("both are asked for");
    assert!(vouched.contains("Press Enter to approve with the software key 'laptop'"), "{vouched}");
    assert!(vouched.contains("key.enroll") && vouched.contains("  target   spare\n"), "{vouched}");
    assert!(made.contains("Press Enter to approve with the new software key 'spare'"), "{made}");

    let json = home.elevate(&["--json", "key", "list"]).ok().json();
    let names: Vec<_> = json["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["laptop", "spare"]);

    home.approve(&["key", "remove", "laptop"]).ok().says(&home, "laptop removed\n");
    assert_eq!(fs::read_dir(home.data().join("device/software-keys")).unwrap().count(), 1, "its file is gone");
    let touched = home.approve(&["prod-api"]).ok();
    assert!(touched.tty.contains("the software key 'spare'"), "{touched:?}");
    home.elevate(&["key", "remove", "laptop"])
        .exits(1)
        .complains(&home, "elevate: you have no key 'laptop'\n  `elevate key list` shows which there are\n");
    let refused = home.elevate(&["key", "enroll", "yubi"]).exits(4);
    assert!(refused.stderr.contains("there is no terminal to ask at"), "{refused:?}");
}

#[test]
fn without_a_key_what_takes_a_touch_is_exit_7() {
    let home = Home::empty();
    home.write_config("authority.toml", CATALOGUE);
    home.elevate(&["init"]).ok();
    let refused = home.approve(&["prod-api"]).exits(7);
    assert!(refused.stderr.contains("enrol one with `elevate key enroll`"), "{refused:?}");
    assert_eq!(home.elevate(&["--json", "prod-api"]).exits(7).error()["code"], "no_security_key");
}

// --------------------------------------------------------------------------------------------------------------- admin

#[test]
fn admin_secret_set_list_and_remove() {
    let home = Home::set_up();
    home.elevate(&["admin", "secret", "list"]).ok().says(&home, "none\n");
    let set = home.put_secret("prod-db", "hunter2\n").ok();
    set.says(&home, "the secret of prod-db is stored, sealed\n");
    assert!(set.tty.contains("secret.set") && set.tty.contains("  target   prod-db\n"), "{}", set.tty);
    assert!(!set.tty.contains("hunter2"), "{}", set.tty);
    home.elevate(&["admin", "secret", "list"]).ok().says(&home, "RESOURCE  SET AT\nprod-db  TIME\n");
    let run = home.approve(&["prod-db", "--", "printenv", "ELEVATE_SECRET"]).ok();
    assert_eq!(run.stdout, "hunter2\n", "the last line break is the terminal's, not the secret's");

    let json = home.elevate(&["--json", "admin", "secret", "list"]).ok().json();
    assert_eq!(json["secrets"][0]["resource"], "prod-db");
    home.approve(&["admin", "secret", "remove", "prod-db"]).ok().says(&home, "the secret of prod-db is removed\n");
    home.elevate(&["admin", "secret", "list"]).ok().says(&home, "none\n");
    home.approve(&["-k", "prod-db", "--", "true"]).exits(125).complains(
        &home,
        "elevate: no secret is stored for 'prod-db'\n  put it in with `elevate admin secret set prod-db`\n",
    );
}

#[test]
fn admin_secret_set_refuses_what_can_hold_none() {
    let home = Home::set_up();
    let empty = home.put_secret("prod-db", "\n").exits(2);
    empty.complains(&home, "elevate: the secret is empty\n  nothing was changed\n");
    let big = home.put_secret("prod-db", &"x".repeat((64 << 10) + 2)).exits(2);
    big.complains(&home, "elevate: stdin is bigger than 65536 bytes\n");
    let not_text = home.sh(r"printf '\377' | elevate admin secret set prod-db").exits(2);
    not_text.complains(&home, "elevate: stdin is no UTF-8 text\n");
    home.put_secret("wiki", "x").exits(2).complains(&home, "elevate: 'wiki' is of kind jwt and holds no secret\n");
    home.put_secret("nothing", "x").exits(2);
    home.elevate(&["admin", "secret", "list"]).ok().says(&home, "none\n");
}

#[test]
fn admin_user_disable_and_enable() {
    let home = Home::set_up();
    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    let me = format!("uid:{}", rustix::process::getuid().as_raw());
    home.elevate(&["admin", "user", "list"])
        .ok()
        .says(&home, &format!("USER  NAME  CREATED AT  DISABLED AT  INVITED UNTIL\n{me}  -  TIME  -  -\n"));
    let shut_out = home.approve(&["admin", "user", "disable", &me]).exits(1);
    shut_out.complains(&home, "elevate: you can't shut yourself out\n");
    assert!(shut_out.tty.contains("user.disable") && shut_out.tty.contains(&format!("  target   {me}\n")));
    assert!(home.is_active(token.trim()));
    // This authority serves its own account only: there is nobody else to shut out.
    assert_eq!(home.approve(&["--json", "admin", "user", "disable", "uid:4242"]).exits(1).error()["code"], "no");
    assert_eq!(home.approve(&["--json", "admin", "user", "enable", "uid:4242"]).exits(1).error()["code"], "no");
    home.approve(&["admin", "user", "enable", &me]).ok().says(&home, &format!("{me} may ask again\n"));
    let list = home.elevate(&["--json", "admin", "user", "list"]).ok().json();
    assert_eq!(fields(&list["users"][0]), ["created_at", "disabled_at", "invited_until", "name", "user"]);
    assert!(list["users"][0]["disabled_at"].is_null());
}

#[test]
fn who_was_disabled_is_denied_and_says_what_helps() {
    let home = Home::set_up();
    home.stop_authority();
    home.sql("update user set disabled_at = 1");
    home.elevate(&["token", "-k", "wiki"]).exits(3).complains(
        &home,
        "elevate: your account was disabled
  an administrator can let you in again with `elevate admin user enable`
",
    );
}

#[test]
fn admin_grant_list_and_revoke() {
    let home = Home::set_up();
    let token = home.elevate(&["--json", "token", "wiki"]).ok().json();
    let (id, me) = (token["grant_id"].as_str().unwrap(), format!("uid:{}", rustix::process::getuid().as_raw()));
    let list = home.elevate(&["admin", "grant", "list"]).ok();
    let row = list.stdout.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let expires = token["expires_at"].as_str().unwrap();
    assert_eq!(row, format!("{id} {me} wiki read write urn:elevate:acr:session {expires}"));
    home.approve(&["admin", "grant", "revoke", id]).ok().says(&home, "ID is revoked\n");
    assert!(!home.is_active(token["access_token"].as_str().unwrap()));
    home.elevate(&["admin", "grant", "list"]).ok().says(&home, "none\n");
    let json = home.elevate(&["--json", "admin", "grant", "list"]).ok().json();
    assert_eq!(json["grants"], serde_json::json!([]));
}

#[test]
fn admin_keys_rotate_keeps_old_tokens_good() {
    let home = Home::set_up();
    let token = home.elevate(&["token", "wiki"]).ok().stdout;
    home.elevate(&["admin", "signing-key", "list"]).ok().says(&home, "KID  CREATED AT  RETIRED AT\nID  TIME  -\n");
    home.approve(&["admin", "signing-key", "rotate"])
        .ok()
        .says(&home, "tokens are signed with a new key; the old one still verifies\n");
    let keys = home.elevate(&["--json", "admin", "signing-key", "list"]).ok().json();
    assert_eq!(keys["keys"].as_array().unwrap().iter().filter(|key| key["retired_at"].is_null()).count(), 1);
    assert_eq!(home.http("/jwks", &[])["keys"].as_array().unwrap().len(), 2, "services can check both");
    assert!(home.is_active(token.trim()));
    assert!(home.is_active(home.elevate(&["token", "-k", "wiki"]).ok().stdout.trim()));
}

#[test]
fn admin_changes_take_a_touch_and_reading_none() {
    let home = Home::set_up();
    let user = format!("uid:{}", rustix::process::getuid().as_raw());
    for change in [
        &["admin", "secret", "remove", "prod-db"][..],
        &["admin", "user", "disable", &user],
        &["admin", "grant", "revoke", "none"],
        &["admin", "signing-key", "rotate"],
        &["key", "remove", "laptop"],
        &["key", "enroll", "--software", "spare"],
    ] {
        home.elevate(change).exits(4);
        assert_eq!(home.elevate(&[&["--json"], change].concat()).exits(4).error()["code"], "interaction_required");
    }
    for look in ["secret", "user", "grant", "signing-key", "session", "key", "resource"] {
        home.elevate(&["-n", "admin", look, "list"]).ok();
    }
}

// --------------------------------------------------------------------------------------------------------------- audit

#[test]
fn audit_shows_every_step_and_verifies() {
    let home = Home::set_up();
    home.approve(&["--reason", "ticket 7", "prod-api"]).ok();
    home.elevate(&["drop"]).ok();
    let me = format!("uid:{}", rustix::process::getuid().as_raw());
    let events: Vec<_> = home.events().into_iter().map(|(event, _)| event).collect();
    let expected =
        ["log.opened", "rules.loaded", "user.created", "grant.issued", "key.enrolled", "grant.issued", "grant.revoked"];
    assert_eq!(events, expected);

    let shown = home.elevate(&["audit", "show", "--last", "2"]).ok().stdout;
    assert_eq!(shown.lines().count(), 3, "{shown}");
    let issued = shown.lines().nth(1).unwrap();
    for part in ["5", "grant.issued", "prod-api", "touch", &me] {
        assert!(issued.split_whitespace().any(|word| word == part), "{part}: {issued}");
    }
    home.elevate(&["audit", "verify"]).ok().says(
        &home,
        "the log is good: 7 entries stand under 7 signed checkpoints, and continue the 6 seen by this device\n",
    );
    let json = home.elevate(&["--json", "audit", "verify"]).ok().json();
    assert_eq!(fields(&json), ["checkpoints", "entries", "faults", "good", "version"]);
    assert_eq!((&json["good"], &json["entries"]), (&true.into(), &7.into()));
    let show = home.elevate(&["--json", "audit", "show", "--last", "2"]).ok().json();
    assert_eq!(fields(&show), ["entries", "size", "version"]);
    assert_eq!(show["entries"][0]["private"]["detail"]["reason"], "ticket 7");
}

#[test]
fn audit_verify_names_the_entry_that_was_changed() {
    let home = Home::set_up();
    home.elevate(&["wiki"]).ok();
    home.stop_authority();
    home.sql("update log_entry set leaf = cast(replace(cast(leaf as text), 'grant.issued', 'grant.revoked') as blob) where idx = 5");
    let bad = home.elevate(&["audit", "verify"]).exits(1);
    assert!(bad.stderr.contains("the log is not what was signed"), "{bad:?}");
    assert!(bad.stderr.contains("entry 5"), "it says which: {bad:?}");
    assert_eq!(bad.stdout, "");
    let json = home.elevate(&["--json", "audit", "verify"]).exits(1).json();
    assert_eq!(json["good"], false);
}

// ---------------------------------------------------------------------------------------------- demo, help, check-config

#[test]
fn demo_shows_all_of_it_and_leaves_nothing_behind() {
    let mut home = Home::empty();
    let temporary = home.beside("tmp");
    fs::create_dir(&temporary).unwrap();
    home.set("TMPDIR", temporary.to_str().unwrap());
    let begun = std::time::Instant::now();
    let demo = home.elevate(&["demo", "--yes"]).ok();
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    let mut rest = demo.stdout.as_str();
    for step in [
        "A real authority, in ",
        "elevate: orders-read granted, ",
        " left, in the kernel keyring",
        "orders-refund: takes a touch of your key",
        "approved unattended",
        "200 OK: refunded",
        "orders-refund dropped and revoked",
        "401 Unauthorized: the token was revoked",
        "the log is good",
        "For real use: elevate init",
    ] {
        let at = rest.find(step).unwrap_or_else(|| panic!("{step:?} is not shown, or too early: {}", demo.stdout));
        rest = &rest[at..];
    }
    assert_eq!(demo.stderr, "");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "its directory is gone");
    let here = temporary.to_string_lossy().into_owned();
    let left = processes(|words| words.iter().any(|word| word.starts_with(&here)));
    assert!(left.is_empty(), "processes: {left:?}");
    assert!(!home.config().exists() && !home.data().exists(), "the home was not touched");
}

#[test]
fn demo_waits_for_enter_and_without_a_terminal_says_what_to_type() {
    let mut home = Home::empty();
    let temporary = home.beside("tmp");
    fs::create_dir(&temporary).unwrap();
    home.set("TMPDIR", temporary.to_str().unwrap());
    home.elevate(&["demo"])
        .exits(4)
        .complains(&home, "elevate: the demo waits for Enter, and there is no terminal\n  write: elevate demo --yes\n");
    let mut tty = home.prompting(&["demo"]);
    tty.wait_for("Ctrl-C to refuse: ");
    tty.send("no\n");
    let refused = tty.end().exits(8);
    assert!(refused.stderr.contains("the touch was refused"), "{refused:?}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "its directory is gone");
}

#[test]
fn help_and_version_go_to_stdout() {
    let home = Home::empty();
    for words in [&["--help"][..], &["-h"], &["token", "--help"], &["admin", "secret", "--help"]] {
        let help = home.elevate(words).ok();
        assert!(help.stdout.contains("Usage: elevate"), "{help:?}");
        assert_eq!(help.stderr, "");
    }
    home.elevate(&["--version"]).ok().says(&home, concat!("elevate ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = home.elevate(&["--help"]).ok().stdout;
    for hidden in ["approve", "complete-words", "reap-expired-grants", "demo-call"] {
        assert!(!help.contains(&format!("\n  {hidden} ")), "{hidden} is in the help");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    assert_eq!(home.elevate(&["--help"]).ok().stdout, help);
    assert!(!home.config().exists());
}

#[test]
fn check_config_says_whether_the_files_are_good() {
    let home = Home::empty();
    home.write_config("authority.toml", CATALOGUE);
    home.elevate(&["init"]).ok();
    let config = home.config().display().to_string();
    let check = || finish(spawn(piped(&mut home.program(AUTHORITY_BIN, &["check-config", "--config", &config]))), b"");
    let good = check().ok();
    let said: serde_json::Value = serde_json::from_str(&good.stdout).unwrap();
    assert_eq!((&said["resources"], good.stderr.as_str()), (&5.into(), ""));

    // What is permitted to everybody is so to every pipeline of every issuer that is trusted later.
    let policy = fs::read_to_string(home.config().join("policy.cedar")).unwrap();
    for (more, warns) in [("", true), (" && !principal.workload", false), (" && principal.issuer == \"github\"", false)]
    {
        let open = "permit (principal, action == Action::\"elevate\", resource) when { resource.sensitivity == \"low\"";
        home.write_config("policy.cedar", &format!("@id(\"open\")\n{open}{more} }};\n"));
        let warned = check().ok();
        assert_eq!(warned.stderr.contains("WARN"), warns, "{more}: {warned:?}");
        assert_eq!(
            warned.stderr.contains("workloads of every trusted issuer") && warned.stderr.contains("wiki"),
            warns
        );
        assert!(!warned.stderr.contains("prod-db"), "{warned:?}");
    }
    home.write_config("policy.cedar", &policy);

    let shift = "[[shift]]\nname = \"db\"\nwho = \"uid:1\"\nfrom = \"2020-01-01T00:00:00Z\"\nuntil = \"2020-01-02T00:00:00Z\"\n";
    home.write_config("on_call.toml", shift);
    home.write_config("authority.toml", &format!("{CATALOGUE}\n[risk]\non_call_file = \"on_call.toml\"\n"));
    let warned = check().ok();
    assert!(warned.stderr.contains("is too old: what it would have said"), "{warned:?}");

    home.write_config(
        "authority.toml",
        &format!("{CATALOGUE}\n[resource.bad]\nkind = \"jwt\"\nsensitivity = \"low\"\n"),
    );
    let line = CATALOGUE.lines().count() + 2;
    check().exits(1).complains(
        &home,
        &format!(
            "elevate-authority: ~/.config/elevate/authority.toml:{line}: a resource of kind 'jwt' needs an audience\n"
        ),
    );
    home.write_config("authority.toml", CATALOGUE);
    home.write_config(
        "policy.cedar",
        "permit (principal, action, resource)\nwhen { resource.sensitvity == \"low\" };\n",
    );
    let broken = check().exits(1);
    assert!(home.plain(&broken.stderr).contains("~/.config/elevate/policy.cedar:2: "), "{broken:?}");
}
