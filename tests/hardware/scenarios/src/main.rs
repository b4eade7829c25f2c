//! Plays each scenario of the table: plugs virtual keys in, runs the real programs as an unprivileged person at a
//! terminal, types what that person would type, and compares what they read. It runs as root inside the VM that
//! `tests/hardware/run` boots, and nowhere else.

mod keys;
mod person;
mod scenario;
mod screen;
mod table;
mod terminal;

use keys::Key;
use person::Person;
use scenario::{Exit, Given, Scenario, Step};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use terminal::Session;

/// What comes before a scenario, and takes much longer on an emulated processor than on any other.
const GIVEN_LIMIT: Duration = Duration::from_mins(1);
/// How long after the command's end a key may need to be told that nobody waits for the touch any more.
const DARK_LIMIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let only = std::env::args().nth(1).unwrap_or_default();
    if only == "--table" {
        print!("{}", document());
        return ExitCode::SUCCESS;
    }
    let started = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    let mut stage = None;
    let mut head = 0;
    for (index, scenario) in table::SCENARIOS.iter().enumerate() {
        if !scenario.continues {
            head = index;
            stage = None;
        }
        if !scenario.name.contains(&only) {
            continue;
        }
        let began = Instant::now();
        let (outcome, lines) = play(scenario, head, &mut stage);
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("ok {} ({seconds:.1} s)", scenario.name);
            }
            Err(why) => {
                failed += 1;
                println!("FAILED {}: {why} ({seconds:.1} s)", scenario.name);
                report(&lines);
                // What goes on from here begins anew.
                stage = None;
            }
        }
    }
    drop(stage);
    println!("SCENARIOS {passed} passed, {failed} failed, in {:.0} s", started.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(lines: &[String]) {
    for line in lines {
        println!("    | {line}");
    }
    for (number, log) in keys::logs() {
        for line in log.lines() {
            println!("    key {number}: {line}");
        }
    }
}

/// `docs/hardware.md`: what is on the screen where all scenarios pass.
fn document() -> String {
    let escaped = |line: &str| line.replace('|', "\\|").replace('<', "&lt;").replace('*', "…");
    let mut document = include_str!("document-head.md").to_owned();
    for scenario in table::SCENARIOS.iter().filter(|scenario| scenario.documented) {
        let lines: Vec<String> = scenario.expects.iter().map(|line| escaped(line)).collect();
        let light = if scenario.light_out { "yes" } else { "no" };
        let (name, run) = (escaped(scenario.name), escaped(scenario.run));
        document += &format!("| {name} | `{run}` | {} | {} | {light} |\n", lines.join("<br>"), scenario.exit);
    }
    document
}

/// Plays it on the stage that the one before left, or on one of its own. `head` is the first one on that stage.
fn play(scenario: &Scenario, head: usize, stage: &mut Option<Stage>) -> (Result<(), String>, Vec<String>) {
    let before = |why: String| (Err(format!("before it began: {why}")), Vec::new());
    let stage = match stage {
        Some(stage) => stage,
        None => match Stage::new(head, scenario.continues) {
            Ok(new) => stage.insert(new),
            Err(why) => return before(why),
        },
    };
    for given in scenario.given {
        if let Err(why) = stage.prepare(*given) {
            return before(why);
        }
    }
    let logs = keys::logs();
    let apart = scenario.stdout.is_some();
    let mut session = match Session::start(&stage.person, &stage.with_devices(scenario.run), apart) {
        Ok(session) => session,
        Err(why) => return before(why),
    };
    let limit = Instant::now() + scenario.deadline;
    let outcome = stage
        .type_all(&mut session, scenario.types, limit)
        .and_then(|()| session.finish(limit))
        .and_then(|(exit, stdout)| compare(scenario, &session, exit, stdout.as_deref(), &logs))
        .and_then(|()| scenario.after.iter().try_for_each(|after| stage.prepare(*after)));
    (outcome, session.screen.lines())
}

/// What is there while a scenario is played. Keys go before the person does.
struct Stage {
    keys: Vec<Key>,
    services: Vec<Service>,
    person: Person,
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _over_anyway = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Stage {
    /// A new person, and what is given to the first scenario where this is for one that goes on from it.
    fn new(head: usize, with_given: bool) -> Result<Self, String> {
        keys::forget_all();
        let person = Person::new(head).map_err(|error| format!("the person's home: {error}"))?;
        let mut stage = Self { keys: Vec::new(), services: Vec::new(), person };
        if with_given {
            table::SCENARIOS[head].given.iter().try_for_each(|given| stage.prepare(*given))?;
        }
        Ok(stage)
    }

    fn prepare(&mut self, given: Given) -> Result<(), String> {
        let limit = Instant::now() + GIVEN_LIMIT;
        match given {
            Given::Key(number, options) => self.plug(number, options, Some(self.person.user)),
            Given::ForbiddenKey(number, options) => self.plug(number, options, None),
            Given::Word(number, word) => self.tell(number, word),
            Given::File(path, content) => self.person.write(path, content).map_err(|error| format!("{path}: {error}")),
            Given::Run(command) => self.run(command, &[], limit),
            Given::RunTyping(command, steps) => self.run(command, steps, limit),
            Given::Service(command, ready) => self.serve(command, ready, limit),
        }
    }

    fn plug(&mut self, number: usize, options: &str, person: Option<u32>) -> Result<(), String> {
        self.keys.retain(|key| key.number != number);
        self.keys.push(Key::plug(number, options, person)?);
        Ok(())
    }

    fn key(&mut self, number: usize) -> Result<&mut Key, String> {
        self.keys.iter_mut().find(|key| key.number == number).ok_or_else(|| format!("there is no key {number}"))
    }

    fn tell(&mut self, number: usize, word: &str) -> Result<(), String> {
        self.key(number)?.word(word)
    }

    fn run(&mut self, command: &str, steps: &[Step], limit: Instant) -> Result<(), String> {
        let mut session = Session::start(&self.person, &self.with_devices(command), false)?;
        let ended = self.type_all(&mut session, steps, limit).and_then(|()| session.finish(limit));
        match ended {
            Ok((Exit::Status(0), _)) => Ok(()),
            Ok((exit, _)) => Err(format!("{command}: exit {exit}\n{}", session.screen.lines().join("\n"))),
            Err(why) => Err(format!("{command}: {why}\n{}", session.screen.lines().join("\n"))),
        }
    }

    fn serve(&mut self, command: &str, ready: &str, limit: Instant) -> Result<(), String> {
        let log = format!("/tmp/service-{}.log", self.services.len());
        let output = std::fs::File::create(&log).map_err(|error| format!("{log}: {error}"))?;
        let errors = output.try_clone().map_err(|error| format!("{log}: {error}"))?;
        let mut words = command.split_whitespace();
        let child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| format!("{command}: {error}"))?;
        self.services.push(Service(child));
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.contains(ready) {
                return Ok(());
            }
            if Instant::now() > limit {
                return Err(format!("{command} did not say {ready:?} but\n{said}"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn type_all(&mut self, session: &mut Session, steps: &[Step], limit: Instant) -> Result<(), String> {
        for step in steps {
            match *step {
                Step::Wait(text) => session.wait_for(text, limit)?,
                Step::Type(text) | Step::Secret(text) => session.send(text)?,
                Step::Signal(signal) => session.signal(signal)?,
                Step::Word(number, word) => self.tell(number, word)?,
                Step::WaitLight(number) => self.key(number)?.wait_for_light(limit)?,
                Step::Plug(number, options) => self.plug(number, options, Some(self.person.user))?,
                Step::Pause(pause) => session.pause(pause)?,
                Step::HangUp => session.hang_up()?,
            }
        }
        Ok(())
    }

    /// `{key1}` and the like are names of devices.
    fn with_devices(&self, command: &str) -> String {
        self.keys.iter().fold(command.to_owned(), |command, key| match keys::device(key.number) {
            Some(device) => command.replace(&format!("{{key{}}}", key.number), &device.to_string_lossy()),
            None => command,
        })
    }
}

fn compare(
    scenario: &Scenario,
    session: &Session,
    exit: Exit,
    stdout: Option<&str>,
    before: &[(usize, String)],
) -> Result<(), String> {
    let lines = session.screen.lines();
    if exit != scenario.exit {
        return Err(format!("exit {exit}, not {}", scenario.exit));
    }
    let mut below = lines.iter();
    for expected in scenario.expects {
        if !below.any(|line| matches(expected, line)) {
            return Err(format!("there is no line {expected:?} (in its place)"));
        }
    }
    let secrets = scenario.types.iter().filter_map(|step| match step {
        Step::Secret(text) => Some(text.trim()),
        _ => None,
    });
    for absent in scenario.absent.iter().copied().chain(secrets).chain(["panicked at"]) {
        if session.screen.transcript().contains(absent) || lines.iter().any(|line| line.contains(absent)) {
            return Err(format!("{absent:?} was shown"));
        }
    }
    if let Some(expected) = scenario.stdout
        && stdout != Some(expected)
    {
        return Err(format!("standard output is {stdout:?}, not {expected:?}"));
    }
    compare_light(scenario)?;
    // What each key has logged since this scenario began.
    let mut logs: Vec<(usize, String)> = keys::logs();
    for (number, log) in &mut logs {
        if let Some((_, old)) = before.iter().find(|(candidate, _)| candidate == number) {
            log.drain(..old.len());
        }
    }
    for (number, log) in &logs {
        for absent in scenario.key_log_absent.iter().copied().chain(["PANIC", "ERROR"]) {
            if log.contains(absent) {
                return Err(format!("the log of key {number} says {absent:?}"));
            }
        }
    }
    for (number, expected) in scenario.key_log {
        let log = logs.iter_mut().find(|(candidate, _)| candidate == number);
        let (_, log) = log.ok_or_else(|| format!("key {number} has logged nothing"))?;
        let at = log.find(expected).ok_or_else(|| format!("the log of key {number} does not say {expected:?}"))?;
        log.drain(..at + expected.len());
    }
    Ok(())
}

fn compare_light(scenario: &Scenario) -> Result<(), String> {
    let limit = Instant::now() + DARK_LIMIT;
    loop {
        let dark = keys::logs().iter().all(|(_, log)| keys::is_dark(log));
        if dark == scenario.light_out {
            return Ok(());
        }
        if Instant::now() > limit {
            return Err(if dark { "the light is out" } else { "a key still blinks" }.to_owned());
        }
        std::thread::sleep(PAUSE);
    }
}

/// `*` in `pattern` stands for anything.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern.trim_end() == line;
    };
    let Some(mut line) = line.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return line.ends_with(part);
        }
        match line.find(part) {
            Some(at) => line = &line[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("elevate: * of *.", "elevate: 3 of 4."));
        assert!(matches("exactly", "exactly"));
        assert!(!matches("exactly", "exactly not"));
        assert!(!matches("elevate: *!", "elevate: 3 of 4."));
    }
}
