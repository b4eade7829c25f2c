//! `--progress=json`: what is waited for, an object a line, each as its schema says.

use super::harness::*;
use serde_json::Value;

const SCHEMA: &str = include_str!("../../docs/schemas/progress.schema.json");

/// Checks a line against the schema, field by field; a field that the schema does not name is not documented.
#[track_caller]
pub fn documented(line: &str) -> Value {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let seen: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let of_event = |it: &&Value| it["properties"]["event"]["const"] == seen["event"];
    let own = schema["oneOf"].as_array().unwrap().iter().find(of_event);
    let own = own.unwrap_or_else(|| panic!("the schema knows no such event: {line}"));
    for part in [&schema, own] {
        for name in part["required"].as_array().into_iter().flatten() {
            assert!(seen.get(name.as_str().unwrap()).is_some(), "{name} is missing: {line}");
        }
    }
    for (name, value) in seen.as_object().unwrap() {
        let fits: Vec<&Value> = [own, &schema].into_iter().filter_map(|it| it["properties"].get(name)).collect();
        assert!(!fits.is_empty(), "the schema does not name {name}: {line}");
        assert!(fits.iter().all(|it| is_as(value, it)), "{name} is not as the schema says: {line}");
    }
    seen
}

fn is_as(value: &Value, schema: &Value) -> bool {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let of_kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|it| it == kind),
        Value::Null => true,
        one => one == kind,
    };
    let among = schema["enum"].as_array().is_none_or(|all| all.contains(value));
    let just = schema.get("const").is_none_or(|it| it == value);
    let time = schema["format"] != "date-time" || is_time(value.as_str().unwrap());
    let items = schema.get("items").is_none_or(|it| value.as_array().unwrap().iter().all(|value| is_as(value, it)));
    of_kind && among && just && time && items
}

#[track_caller]
fn events(stderr: &str) -> Vec<String> {
    stderr.lines().map(|line| documented(line)["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_state_is_an_event_and_prompts_stay_at_the_terminal() {
    let home = Home::set_up();
    let asked = home.elevate(&["--progress=json", "token", "wiki"]).ok();
    assert_eq!(events(&asked.stderr), ["asking", "granted"], "{asked:?}");
    assert!(!asked.stderr.contains(asked.stdout.trim()), "no token");
    let cached = home.elevate(&["token", "--progress", "json", "wiki"]).ok();
    let granted = documented(&cached.stderr);
    assert_eq!((&granted["resource"], &granted["cached"]), (&"wiki".into(), &true.into()));

    // The first use has a reason of its own to be asked for.
    home.approve(&["token", "-k", "prod-api"]).ok();
    let plain = home.approve(&["token", "-k", "prod-api"]).ok();
    let told = home.approve(&["--progress=json", "token", "-k", "prod-api"]).ok();
    assert_eq!(events(&told.stderr), ["asking", "step_up", "enter", "granted"], "{told:?}");
    assert_eq!(told.tty, plain.tty, "a person reads what they always read");
    let enter = documented(told.stderr.lines().nth(2).unwrap());
    assert_eq!(enter["keys"], serde_json::json!(["the software key 'laptop'"]));
}

#[test]
fn stdout_has_its_one_object_and_an_error_is_the_last_line() {
    let home = Home::set_up();
    let both = home.elevate(&["--json", "--progress=json", "token", "wiki"]).ok();
    assert_eq!(both.json()["resource"], "wiki");
    assert_eq!(events(&both.stderr), ["asking", "granted"]);

    for words in [&["--progress=json", "-n", "prod-api"][..], &["--progress=json", "--json", "-n", "prod-api"]] {
        let refused = home.elevate(words).exits(4);
        let (first, last) = refused.stderr.trim_end().split_once('\n').unwrap();
        assert_eq!(documented(first)["event"], "asking");
        assert_eq!(one_object(&format!("{last}\n"))["error"]["code"], "interaction_required");
    }
    let refused = home.elevate(&["--progress=json", "--ttl=x", "wiki"]).exits(2);
    assert_eq!(one_object(&refused.stderr)["error"]["code"], "usage");
    for value in ["", "text"] {
        let refused = home.elevate(&[&format!("--progress={value}"), "wiki"]).exits(2);
        assert!(refused.stderr.starts_with("elevate: "), "{refused:?}");
    }
}

#[test]
fn a_commands_own_output_is_its_own() {
    let home = Home::set_up();
    let words = ["--progress=json", "wiki", "--", "sh", "-c", "echo out; echo err >&2; exit 7"];
    let ended = home.elevate(&words).exits(7);
    assert_eq!(ended.stdout, "out\n");
    let (ours, theirs) = ended.stderr.split_at(ended.stderr.len() - 4);
    assert_eq!((events(ours), theirs), (vec!["asking".to_owned(), "granted".to_owned()], "err\n"));
    // After `--` it is the command's.
    assert_eq!(home.elevate(&["wiki", "--", "echo", "--progress=json"]).ok().stdout, "--progress=json\n");
    let ended = home.elevate(&["--progress=json", "wiki", "--", "/nonexistent"]).exits(127);
    assert!(ended.stderr.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{ended:?}");
}

#[test]
fn who_waits_for_anothers_answer_is_told_so() {
    let home = Home::set_up();
    let mut first = home.prompting(&["prod-api"]);
    first.wait_for("Ctrl-C to refuse: ");
    let refused = home.elevate(&["--progress=json", "-n", "prod-api"]).exits(4);
    let lines: Vec<&str> = refused.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{refused:?}");
    assert_eq!(documented(lines[0])["event"], "waiting_for_flight");
    first.send("\n");
    first.end().ok();
}
