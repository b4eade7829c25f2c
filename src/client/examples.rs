//! The examples below each `--help`, which the man pages repeat: what to type, and what it does. Tests parse each.

/// `elevate`.
pub const ELEVATE: &str = "\
Examples:
  elevate prod-db -- psql          run a command with the credential
  elevate prod-db                  elevate now, use it for a while
  elevate token prod-api           print the token
  elevate list                     what you may elevate to
  elevate status                   what you hold now
  elevate drop prod-db             end it

Exit status: 0 done, 1 the answer is no, 2 usage, 3 denied, 4 interaction
required, 6 authority unreachable, 7 no security key, 8 verification failed,
9 no keyring, 10 not signed in, 11 other failure. With a command: the command's
own status; 125 if elevate failed before it, 126 not executable, 127 not found.";

/// `elevate run`.
pub const RUN: &str = "\
Examples:
  elevate run prod-db -- psql      run it with the credential in its environment
  elevate run --once --reason 'ticket 4711' prod-db -- ./migrate
                                   the grant ends with it; the reason is kept
  elevate run --ttl 45s --scope read prod-api -- ./export
                                   less time and scope than you might get
  elevate run -n --identity-token-file /run/secrets/token prod-api -- ./deploy
                                   as a workload: no person, no key";

/// `elevate token`.
pub const TOKEN: &str = "\
Examples:
  elevate token prod-api           a token that is good now
  elevate token --min-ttl 2m prod-api
                                   one that is good for two minutes at least
  elevate -n token prod-api        only if nobody has to touch a key
  elevate --json token prod-api    with its expiry, scope and receipt";

/// `elevate env`.
pub const ENV: &str = "\
Examples:
  e=$(elevate env prod-db) && eval \"$e\"
                                   into this shell; a failure is seen
  set e (elevate env --shell fish prod-db | string collect); and eval $e
                                   the same in fish
  elevate --json env prod-db       the variables as one JSON object";

/// `elevate list`.
pub const LIST: &str = "\
Examples:
  elevate list                     a table
  elevate --json list              for scripts";

/// `elevate status`.
pub const STATUS: &str = "\
Examples:
  elevate status                   everything held now
  elevate status prod-db           exit status 1 where it is not held
  elevate --json status            for scripts";

/// `elevate drop`.
pub const DROP: &str = "\
Examples:
  elevate drop prod-db             end one grant
  elevate drop prod-db prod-api    end two
  elevate drop                     end all that this device holds";

/// `elevate login`.
pub const LOGIN: &str = "\
Examples:
  elevate login                    sign in with the browser of this machine
  elevate login --device           with a browser elsewhere, by a code
  elevate login --no-browser       say where, and open nothing
  elevate login --key              with your security key, without a browser
  elevate login --invitation       by an invitation, to enrol a first key";

/// `elevate logout`.
pub const LOGOUT: &str = "\
Examples:
  elevate logout                   end the sign-in and every grant it gave";

/// `elevate key`.
pub const KEY: &str = "\
Examples:
  elevate key enroll blue          enrol the security key that is plugged in
  elevate key list                 your keys, and what they prove
  elevate key remove old           one that you no longer have";

/// `elevate key enroll`.
pub const KEY_ENROLL: &str = "\
Examples:
  elevate key enroll blue          the security key that is plugged in
  elevate key enroll --software laptop
                                   a file, to try things out with";

/// `elevate key list`.
pub const KEY_LIST: &str = "\
Examples:
  elevate key list                 a table
  elevate --json key list          with credential ids and public keys";

/// `elevate key pin`.
pub const KEY_PIN: &str = "\
Examples:
  elevate key pin                  set or change it, at this terminal";

/// `elevate key remove`.
pub const KEY_REMOVE: &str = "\
Examples:
  elevate key remove old           takes a touch of one of your keys";

/// `elevate explain`.
pub const EXPLAIN: &str = "\
Examples:
  elevate explain prod-db          what it would take, and by which policy
  elevate --json explain prod-db   for scripts";

/// `elevate audit`.
pub const AUDIT: &str = "\
Examples:
  elevate audit show               the last 20 entries
  elevate audit verify             exit status 1 where the log was changed";

/// `elevate audit verify`.
pub const AUDIT_VERIFY: &str = "\
Examples:
  elevate audit verify             exit status 1 where the log was changed
  elevate --json audit verify      for monitoring: good, entries, faults";

/// `elevate audit show`.
pub const AUDIT_SHOW: &str = "\
Examples:
  elevate audit show               the last 20 entries
  elevate audit show --last 100    more of them
  elevate --json audit show        with the evidence of each touch";

/// `elevate init`.
pub const INIT: &str = "\
Examples:
  elevate init                     writes files to edit; what is there stays
  elevate init --software-key laptop
                                   with a key that is a file, to try things out";

/// `elevate doctor`.
pub const DOCTOR: &str = "\
Examples:
  elevate doctor                   exit status 1 where something is wrong
  elevate doctor --udev-rule       the rule, for /etc/udev/rules.d";

/// `elevate demo`.
pub const DEMO: &str = "\
Examples:
  elevate demo                     press Enter where a key would be touched
  elevate demo --yes               all of it unattended";

/// `elevate admin`.
pub const ADMIN: &str = "\
Examples:
  elevate admin secret set prod-db
                                   store a password, typed or from stdin
  elevate admin user disable uid:1001
                                   shut somebody out, at once
  elevate admin grant list         everybody's grants
  elevate admin signing-key rotate
                                   sign tokens with a new key";

/// `elevate admin secret`.
pub const ADMIN_SECRET: &str = "\
Examples:
  elevate admin secret set prod-db
                                   typed at a prompt, or from stdin
  elevate admin secret list        which are stored; never the secrets";

/// `elevate admin secret set`.
pub const ADMIN_SECRET_SET: &str = "\
Examples:
  elevate admin secret set prod-db
                                   typed at a prompt
  pass show db | elevate admin secret set prod-db
                                   from a pipe, so that no shell history has it
  elevate admin secret set --seal-to blue --seal-to green prod-db
                                   either key opens it; nothing else does";

/// `elevate admin secret remove`.
pub const ADMIN_SECRET_REMOVE: &str = "\
Examples:
  elevate admin secret remove prod-db
                                   from now on nobody gets it";

/// `elevate admin secret list`.
pub const ADMIN_SECRET_LIST: &str = "\
Examples:
  elevate admin secret list        names and times, never the secrets";

/// `elevate admin user`.
pub const ADMIN_USER: &str = "\
Examples:
  elevate admin user list          who has ever asked
  elevate admin user disable uid:1001
                                   shut out; grants end at once";

/// `elevate admin user list`.
pub const ADMIN_USER_LIST: &str = "\
Examples:
  elevate admin user list          who has ever asked";

/// `elevate admin user disable`.
pub const ADMIN_USER_DISABLE: &str = "\
Examples:
  elevate admin user disable uid:1001
                                   grants end at once";

/// `elevate admin user invite`.
pub const ADMIN_USER_INVITE: &str = "\
Examples:
  elevate admin user invite anna   prints what anna types at
                                   `elevate login --invitation`
  elevate admin user invite --ttl 1h https://login.example.com#ben
                                   somebody whom the identity provider knows";

/// `elevate admin user enable`.
pub const ADMIN_USER_ENABLE: &str = "\
Examples:
  elevate admin user enable uid:1001
                                   may ask again";

/// `elevate admin grant`.
pub const ADMIN_GRANT: &str = "\
Examples:
  elevate admin grant list         each with its id
  elevate admin grant revoke 0b7e3c1a-5d42-4a70-9a51-3f5b6e0c2d11
                                   end that one";

/// `elevate admin grant list`.
pub const ADMIN_GRANT_LIST: &str = "\
Examples:
  elevate admin grant list         each with its id";

/// `elevate admin grant revoke`.
pub const ADMIN_GRANT_REVOKE: &str = "\
Examples:
  elevate admin grant revoke 0b7e3c1a-5d42-4a70-9a51-3f5b6e0c2d11
                                   the id as `elevate admin grant list` has it";

/// `elevate admin session`.
pub const ADMIN_SESSION: &str = "\
Examples:
  elevate admin session list       who is signed in, and where
  elevate admin session end hV0n3-b8Qw6dZl2y
                                   that device is out, on every node at once";

/// `elevate admin session list`.
pub const ADMIN_SESSION_LIST: &str = "\
Examples:
  elevate admin session list       each with its id";

/// `elevate admin session end`.
pub const ADMIN_SESSION_END: &str = "\
Examples:
  elevate admin session end hV0n3-b8Qw6dZl2y
                                   the id as `elevate admin session list` has it";

/// `elevate admin key`.
pub const ADMIN_KEY: &str = "\
Examples:
  elevate admin key list           everybody's security keys
  elevate admin key remove uid:1001 blue
                                   one that was lost";

/// `elevate admin key list`.
pub const ADMIN_KEY_LIST: &str = "\
Examples:
  elevate admin key list           everybody's
  elevate admin key list uid:1001  one user's";

/// `elevate admin key remove`.
pub const ADMIN_KEY_REMOVE: &str = "\
Examples:
  elevate admin key remove uid:1001 blue
                                   says first which secrets only it unseals";

/// `elevate admin resource`.
pub const ADMIN_RESOURCE: &str = "\
Examples:
  elevate admin resource list      all there are, and where they are declared
  elevate admin resource set wiki wiki.toml
                                   for every node, at once";

/// `elevate admin resource list`.
pub const ADMIN_RESOURCE_LIST: &str = "\
Examples:
  elevate admin resource list      all there are, and where they are declared";

/// `elevate admin resource show`.
pub const ADMIN_RESOURCE_SHOW: &str = "\
Examples:
  elevate admin resource show wiki >wiki.toml
                                   to be edited, and set again";

/// `elevate admin resource set`.
pub const ADMIN_RESOURCE_SET: &str = "\
Examples:
  elevate admin resource set wiki wiki.toml
                                   for every node, at once
  elevate admin resource set wiki <wiki.json
                                   from stdin, as JSON";

/// `elevate admin resource remove`.
pub const ADMIN_RESOURCE_REMOVE: &str = "\
Examples:
  elevate admin resource remove wiki
                                   from now on nobody gets it";

/// `elevate admin signing-key`.
pub const ADMIN_SIGNING_KEY: &str = "\
Examples:
  elevate admin signing-key list
                                   those in use and those retired
  elevate admin signing-key rotate
                                   old tokens stay good to their end";

/// `elevate admin signing-key list`.
pub const ADMIN_SIGNING_KEY_LIST: &str = "\
Examples:
  elevate admin signing-key list
                                   those in use and those retired";

/// `elevate admin signing-key rotate`.
pub const ADMIN_SIGNING_KEY_ROTATE: &str = "\
Examples:
  elevate admin signing-key rotate
                                   old tokens stay good to their end";

/// `elevate shell`.
pub const SHELL: &str = "\
Examples:
  elevate shell prod-db            until exit, or until the grant ends
  elevate shell --ttl 5m prod-db   for five minutes at most";

/// `elevate completion`.
pub const COMPLETION: &str = "\
Examples:
  eval \"$(elevate completion bash)\"
                                   in ~/.bashrc, for bash
  elevate completion fish >~/.config/fish/completions/elevate.fish
                                   for fish";
