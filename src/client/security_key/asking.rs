//! One question to all keys that are, or will be, plugged in. Whoever of them can answer blinks; the first touch wins and
//! the others go dark. A key may be unplugged, plugged in late, frozen or blocked: the person is told, once, in a line,
//! and the wait goes on. One file over 400 lines: it is one state machine, and its states are read together.

use super::driver::{Answer, Bytes, Command, Event, Fault, KeyInfo, Verification, status};
use super::fleet::{Bus, Fleet, KeyId, News};
use super::pin;
use super::wish::{Wish, milliseconds};
use crate::client::error::Error;
use crate::client::presence::Person;
use crate::client::progress;
use crate::client::signals;
use crate::clock::human;
use crate::protocol::display::escaped;
use crate::protocol::encoding::base64url;
use crate::protocol::messages::{EnrolledKey, ErrorCode};
use crate::protocol::secret::Secret;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After how long a light that nobody touches is explained.
const EXPLAIN_AFTER: Duration = Duration::from_secs(5);
/// How long the keys that are plugged in may take to say what they are, before we begin without the slow ones.
const INTRODUCTION: Duration = Duration::from_secs(2);

/// After how long it is known which keys are plugged in.
const SETTLED: Duration = Duration::from_millis(300);

/// Where a key stands.
#[derive(Debug, PartialEq)]
pub enum Stage {
    /// Being opened, or looked for credentials.
    Opening,
    /// It can answer.
    Ready,
    /// It is touched to be chosen.
    Choosing,
    /// Its tries are counted.
    Counting,
    /// It blinks, or thinks.
    Asked,
    /// It can't help until it is plugged in anew.
    Aside,
}

/// A key that is plugged in.
pub struct Key {
    name: String,
    pub info: KeyInfo,
    stage: Stage,
    /// What it holds of what may answer.
    pub credentials: Vec<Bytes>,
    pin: Option<Secret>,
    /// It asks for its PIN whatever we want, or its fingerprint is blocked.
    needs_pin: bool,
    light: Option<Instant>,
    busy_told: bool,
}

/// One wish, until it is fulfilled or can't be.
pub struct Asking<'a> {
    enrolled: &'a [EnrolledKey],
    wish: Wish,
    person: Person,
    fleet: Fleet,
    keys: BTreeMap<KeyId, Key>,
    /// The one that a PIN is for, where there are several.
    chosen: Option<KeyId>,
    started: Instant,
    stops: usize,
    said_plug_in: bool,
    explained: bool,
    /// A key that may not be opened.
    forbidden: Option<Error>,
    /// What was last in the way.
    why_not: Option<Error>,
}

impl<'a> Asking<'a> {
    /// One wish, to the keys of a bus.
    pub fn new(bus: Bus, enrolled: &'a [EnrolledKey], wish: Wish, person: Person) -> Self {
        Self {
            enrolled,
            wish,
            person,
            fleet: Fleet::new(bus),
            keys: BTreeMap::new(),
            chosen: None,
            started: Instant::now(),
            stops: signals::stops(),
            said_plug_in: false,
            explained: false,
            forbidden: None,
            why_not: None,
        }
    }

    /// Asks until a key has answered, or none can.
    ///
    /// # Errors
    /// Why not.
    pub fn run(mut self) -> Result<(Answer, KeyInfo), Error> {
        let ended = self.go();
        self.person.clear_status();
        ended
    }

    fn go(&mut self) -> Result<(Answer, KeyInfo), Error> {
        loop {
            if self.person.left().is_zero() {
                return Err(self.too_late());
            }
            if signals::stops() != self.stops {
                self.stops = signals::stops();
                self.fleet.start_again();
                self.keys.clear();
                self.chosen = None;
            }
            let news = self.fleet.news(Duration::from_millis(100))?;
            // What a signal does to the keys is no news: we die of it, or begin anew.
            if signals::interrupted() || signals::stops() != self.stops {
                continue;
            }
            if let Some((id, news)) = news
                && let Some(done) = self.take(id, news)?
            {
                return Ok(done);
            }
            self.go_on()?;
            self.show_state();
        }
    }

    /// Takes in what happened to a key.
    fn take(&mut self, id: KeyId, news: News) -> Result<Option<(Answer, KeyInfo)>, Error> {
        match news {
            News::Came { name } => {
                self.said_plug_in = false;
                self.keys.insert(id, Key::new(name));
            }
            News::Forbidden { name } => self.forbidden(&name),
            News::Went => {
                self.forbidden = None;
                self.went(id);
            }
            News::Ended => {
                if self.keys.get(&id).is_some_and(|key| key.stage != Stage::Aside) {
                    self.failed(id, Fault::Garbled)?;
                }
            }
            News::Said(event) => return self.said(id, event),
        }
        Ok(None)
    }

    fn said(&mut self, id: KeyId, event: Event) -> Result<Option<(Answer, KeyInfo)>, Error> {
        let Some(key) = self.keys.get_mut(&id) else { return Ok(None) };
        match event {
            Event::Opened(info) => {
                key.info = info;
                self.opened(id);
            }
            Event::Light(on) => {
                key.light = on.then(Instant::now);
                self.explained &= on;
            }
            Event::Busy if !key.busy_told => {
                key.busy_told = true;
                let line = format!("{} is in use by another program; waiting for it", key.name);
                self.person.tell(&line);
            }
            Event::Busy => {}
            Event::Failed(fault) => {
                key.light = None;
                self.failed(id, fault)?;
            }
            Event::Done(answer) => {
                key.light = None;
                return self.answered(id, *answer);
            }
        }
        Ok(None)
    }

    fn opened(&mut self, id: KeyId) {
        let Some(key) = self.keys.get_mut(&id) else { return };
        match &self.wish {
            Wish::Assert { allow, .. } if allow.is_empty() => self.found(id, Vec::new()),
            Wish::Assert { rp_id, allow, .. } => {
                let command = Command::Find { rp_id: rp_id.clone(), credentials: allow.clone() };
                self.fleet.tell(id, &command);
            }
            Wish::Make { .. } | Wish::ChangePin => key.stage = Stage::Ready,
        }
    }

    fn answered(&mut self, id: KeyId, answer: Answer) -> Result<Option<(Answer, KeyInfo)>, Error> {
        let Some(key) = self.keys.get_mut(&id) else { return Ok(None) };
        let stage = match answer {
            Answer::Found(_) => Stage::Opening,
            Answer::Selected => Stage::Choosing,
            Answer::Retries { .. } => Stage::Counting,
            Answer::Made { .. } | Answer::Asserted { .. } | Answer::PinChanged => Stage::Asked,
        };
        // Nobody asked for this.
        if key.stage != stage {
            return Ok(None);
        }
        match answer {
            Answer::Found(found) => self.found(id, found),
            Answer::Selected => {
                key.stage = Stage::Ready;
                // The first touch counts, also where the second came before its key could be told.
                if self.chosen.is_some() {
                    return Ok(None);
                }
                self.chosen = Some(id);
                for (other, key) in &mut self.keys {
                    if key.stage == Stage::Choosing {
                        self.fleet.tell(*other, &Command::Cancel);
                    }
                }
            }
            Answer::Retries { pin: tries, uv } => self.counted(id, tries, uv)?,
            Answer::Asserted { mut credential_id, authenticator_data, signature, user_handle, hmac_output } => {
                // A key need not repeat the only id that it was given (CTAP 2.1 section 6.2.2).
                if let ([only], true) = (key.credentials.as_slice(), credential_id.0.is_empty()) {
                    credential_id = only.clone();
                }
                let answer =
                    Answer::Asserted { credential_id, authenticator_data, signature, user_handle, hmac_output };
                return Ok(Some((answer, key.info.clone())));
            }
            answer @ (Answer::Made { .. } | Answer::PinChanged) => return Ok(Some((answer, key.info.clone()))),
        }
        Ok(None)
    }

    /// It is known what the key holds of what may answer. Where nobody is known yet, it may know more itself.
    fn found(&mut self, id: KeyId, found: Vec<Bytes>) {
        let Some(key) = self.keys.get_mut(&id) else { return };
        if found.is_empty() && !self.wish.is_discoverable() {
            let line = format!("{} is not enrolled here", key.name);
            return self.put_aside(id, Error::new(ErrorCode::NoSecurityKey, line), None);
        }
        key.name = known_as(self.enrolled, &found, &key.name);
        key.credentials = found;
        key.stage = Stage::Ready;
        if self.wish.verifies() && !key.info.can_verify() {
            let error = pin::not_set(&key.name);
            self.put_aside(id, error, None);
        }
    }

    /// Decides who is asked next, once it is known who could be.
    fn go_on(&mut self) -> Result<(), Error> {
        if self.keys.is_empty()
            && self.started.elapsed() >= SETTLED
            && let Some(error) = self.forbidden.take()
        {
            return Err(error);
        }
        let opening = self.keys.values().any(|key| key.stage == Stage::Opening);
        let one_only = matches!(self.wish, Wish::Make { .. } | Wish::ChangePin);
        if opening && (one_only || self.started.elapsed() < INTRODUCTION) {
            return Ok(());
        }
        let ready: Vec<KeyId> =
            self.keys.iter().filter(|(_, key)| key.stage == Stage::Ready).map(|(id, _)| *id).collect();
        if ready.is_empty() {
            return Ok(());
        }
        let busy = self.keys.values().any(|key| matches!(key.stage, Stage::Counting | Stage::Choosing));
        if let Some(chosen) = self.chosen.filter(|chosen| self.keys.contains_key(chosen)) {
            if ready.contains(&chosen) {
                self.ask(chosen);
            }
            return Ok(());
        }
        let with_pin = |id: &KeyId| self.keys.get(id).is_some_and(|key| key.wants_pin(&self.wish));
        if one_only || ready.iter().any(with_pin) {
            let asked = self.keys.values().any(|key| key.stage == Stage::Asked);
            return match ready.as_slice() {
                _ if busy || asked => Ok(()),
                [only] => {
                    self.chosen = Some(*only);
                    self.ask(*only);
                    Ok(())
                }
                several => self.choose(several),
            };
        }
        for id in ready {
            self.ask(id);
        }
        Ok(())
    }

    /// Lets the person choose by a touch: a PIN is of one key only.
    fn choose(&mut self, among: &[KeyId]) -> Result<(), Error> {
        let able = |id: &KeyId| self.keys.get(id).is_some_and(|key| key.info.selection);
        if !among.iter().all(able) {
            let message = "several keys are plugged in, and they can't be told apart by a touch";
            return Err(Error::new(ErrorCode::NoSecurityKey, message).hint("leave only the one that you want to use"));
        }
        for id in among {
            if let Some(key) = self.keys.get_mut(id) {
                key.stage = Stage::Choosing;
            }
            self.fleet.tell(*id, &Command::Select { within_ms: milliseconds(self.person.left()) });
        }
        Ok(())
    }

    /// Asks one key; its PIN first, where it wants one.
    fn ask(&mut self, id: KeyId) {
        let Some(key) = self.keys.get_mut(&id) else { return };
        if (key.wants_pin(&self.wish) && key.pin.is_none()) || matches!(self.wish, Wish::ChangePin) {
            key.stage = Stage::Counting;
            self.fleet.tell(id, &Command::Retries);
            return;
        }
        let verification = match &key.pin {
            Some(pin) => Verification::Pin(pin.clone()),
            None if self.wish.verifies_with(&key.info) => Verification::BuiltIn,
            None => Verification::None,
        };
        let command = self.wish.command(key, verification, self.person.left());
        key.stage = Stage::Asked;
        self.fleet.tell(id, &command);
    }

    /// How many tries are left is known: the PIN is asked for.
    fn counted(&mut self, id: KeyId, tries: Option<u32>, uv: Option<u32>) -> Result<(), Error> {
        let Some(key) = self.keys.get_mut(&id) else { return Ok(()) };
        let name = key.name.clone();
        if matches!(self.wish, Wish::ChangePin) {
            let old = match key.info.pin {
                Some(true) => {
                    let info = KeyInfo { must_change_pin: false, ..key.info.clone() };
                    Some(pin::ask(&mut self.person, &name, &info, tries)?)
                }
                Some(false) => None,
                None => return Err(Error::new(ErrorCode::NoSecurityKey, format!("{name} can have no PIN"))),
            };
            let new = pin::ask_new(&mut self.person, &name, &key.info)?;
            key.stage = Stage::Asked;
            self.fleet.tell(id, &Command::ChangePin { old, new });
            return Ok(());
        }
        if key.wants_pin(&self.wish) {
            match pin::ask(&mut self.person, &name, &key.info, tries) {
                // We were stopped at the prompt: everything begins anew.
                Err(_) if signals::stops() != self.stops => return Ok(()),
                pin => key.pin = Some(pin?),
            }
        } else if let Some(left) = uv {
            self.person.tell(&format!("not recognised, {left} tries left"));
        }
        key.stage = Stage::Ready;
        // Whatever happened to the key while the person typed comes as news.
        Ok(())
    }

    fn failed(&mut self, id: KeyId, fault: Fault) -> Result<(), Error> {
        let Some(key) = self.keys.get_mut(&id) else { return Ok(()) };
        let name = key.name.clone();
        match fault {
            // What ended it is known, or it begins anew.
            Fault::Cancelled => {
                if key.stage != Stage::Aside {
                    key.stage = Stage::Ready;
                }
            }
            Fault::Gone => self.went(id),
            Fault::Forbidden => self.forbidden(&name),
            Fault::Silent => {
                let error = Error::new(ErrorCode::NoSecurityKey, format!("{name} does not answer"));
                self.put_aside(id, error, Some("unplug it and plug it in again"));
            }
            Fault::Garbled => {
                let others = self.keys.iter().any(|(other, key)| *other != id && key.stage != Stage::Aside);
                self.put_aside(id, unreadable(&name), others.then_some("it is left out"));
                if !others {
                    return Err(unreadable(&name));
                }
            }
            Fault::Status(code) => self.refused(id, &name, code)?,
        }
        Ok(())
    }

    /// The key says why not (CTAP 2.1 section 8.2).
    fn refused(&mut self, id: KeyId, name: &str, code: u8) -> Result<(), Error> {
        let Some(key) = self.keys.get_mut(&id) else { return Ok(()) };
        match code {
            // The key gave up waiting; we have not.
            status::USER_ACTION_TIMEOUT | status::ACTION_TIMEOUT | status::KEEPALIVE_CANCEL => {
                key.stage = Stage::Ready;
            }
            status::OPERATION_DENIED => {
                return Err(Error::new(ErrorCode::VerificationFailed, format!("refused at {name}"))
                    .hint("nothing was approved"));
            }
            status::NO_CREDENTIALS => {
                let error = Error::new(ErrorCode::NoSecurityKey, format!("{name} is not enrolled here"));
                self.put_aside(id, error, None);
            }
            status::CREDENTIAL_EXCLUDED => {
                return Err(Error::new(ErrorCode::No, format!("{name} is enrolled already"))
                    .hint("`elevate key list` shows under which name"));
            }
            status::PIN_INVALID | status::PIN_AUTH_INVALID => {
                key.pin = None;
                key.stage = Stage::Ready;
                self.person.tell("wrong PIN");
            }
            status::PIN_AUTH_BLOCKED => {
                let what = format!("{name} takes no more tries for now: three in a row were wrong");
                let error = Error::new(ErrorCode::VerificationFailed, what);
                self.put_aside(id, error, Some("unplug it and plug it in again"));
            }
            status::PUAT_REQUIRED if key.info.pin == Some(true) && !key.needs_pin => {
                key.needs_pin = true;
                key.stage = Stage::Ready;
            }
            status::UV_INVALID => {
                key.stage = Stage::Counting;
                self.fleet.tell(id, &Command::Retries);
            }
            status::UV_BLOCKED if key.info.pin == Some(true) && !key.needs_pin => {
                key.needs_pin = true;
                key.stage = Stage::Ready;
                let line = format!("{name} no longer takes fingerprints; its PIN does it as well");
                self.person.tell(&line);
            }
            status::INVALID_COMMAND if key.stage == Stage::Opening => {
                let error = Error::new(ErrorCode::NoSecurityKey, format!("{name} speaks only U2F, which is too old"));
                self.put_aside(id, error, None);
            }
            code => {
                let error = pin::refused(name, code);
                return self.without(id, error);
            }
        }
        Ok(())
    }

    /// Goes on without a key where there is another one, else gives up.
    fn without(&mut self, id: KeyId, error: Error) -> Result<(), Error> {
        let others = self.keys.iter().any(|(other, key)| *other != id && key.stage != Stage::Aside);
        if !others {
            return Err(error);
        }
        self.put_aside(id, error, None);
        Ok(())
    }

    fn put_aside(&mut self, id: KeyId, error: Error, what_to_do: Option<&str>) {
        self.fleet.leave_alone(id);
        if self.chosen == Some(id) {
            self.chosen = None;
        }
        if let Some(key) = self.keys.get_mut(&id) {
            key.stage = Stage::Aside;
            key.light = None;
            key.pin = None;
        }
        let line = match what_to_do {
            Some(what) => format!("{}: {what}", error.message),
            None => error.message.clone(),
        };
        self.person.tell(&line);
        self.why_not = Some(error);
    }

    fn went(&mut self, id: KeyId) {
        let Some(key) = self.keys.remove(&id) else { return };
        self.fleet.leave_alone(id);
        if self.chosen == Some(id) {
            self.chosen = None;
        }
        if key.stage != Stage::Aside {
            self.person.tell(&format!("{} was unplugged", key.name));
        }
        self.said_plug_in = false;
    }

    /// That changes by nothing we could wait for.
    fn forbidden(&mut self, name: &str) {
        let what = format!("{name} is plugged in, but you may not open it");
        self.forbidden =
            Some(Error::new(ErrorCode::NoSecurityKey, what).hint("`elevate doctor` shows the rule that lets you"));
    }

    fn too_late(&mut self) -> Error {
        if self.keys.values().any(|key| matches!(key.stage, Stage::Asked | Stage::Choosing)) {
            return Error::new(ErrorCode::VerificationFailed, "the touch timed out").hint("run the command again");
        }
        if let Some(key) = self.keys.values().find(|key| key.stage == Stage::Opening) {
            return Error::new(ErrorCode::NoSecurityKey, format!("{} does not answer", key.name))
                .hint("unplug it and plug it in again");
        }
        self.why_not.take().unwrap_or_else(|| {
            Error::new(ErrorCode::NoSecurityKey, "no security key was plugged in")
                .hint("`elevate key list` shows which are yours, `elevate doctor` what is plugged in")
        })
    }

    /// The line that says what is waited for, and the lines that help where nothing happens.
    fn show_state(&mut self) {
        let left = human(self.person.left().as_secs());
        let lit: Vec<(&str, Instant)> =
            self.keys.values().filter_map(|key| key.light.map(|since| (key.name.as_str(), since))).collect();
        let choosing = self.keys.values().any(|key| key.stage == Stage::Choosing);
        if let Some(longest) = lit.iter().map(|(_, since)| since.elapsed()).max() {
            let names: Vec<&str> = lit.iter().map(|(name, _)| *name).collect();
            let what = if choosing { "to use it" } else { "to approve" };
            let keys: Vec<String> = names.iter().map(|name| escaped(name)).collect();
            let line = format!("Touch {}, which blinks, {what}; {left} left", names.join(" or "));
            if longest >= EXPLAIN_AFTER && !self.explained {
                self.explained = true;
                self.person.tell("Nothing yet: touch the metal or glass of the key that blinks. If none does,");
                self.person.tell("unplug it and plug it in again. Ctrl-C refuses.");
            }
            self.person.waits_for(progress::Event::Touch { keys });
            return self.person.status(&line);
        }
        let able = self.keys.values().any(|key| key.stage != Stage::Aside);
        if able {
            return self.person.status(&format!("Asking your key; {left} left"));
        }
        if self.started.elapsed() < SETTLED {
            return;
        }
        if !self.said_plug_in {
            self.said_plug_in = true;
            self.ask_to_plug_in();
        }
        self.person.status(&format!("Waiting for a key; {left} left, Ctrl-C refuses"));
    }

    fn ask_to_plug_in(&mut self) {
        let names = self.wish.names(self.enrolled);
        self.person.waits_for(progress::Event::PlugIn { keys: names.clone() });
        let line = if names.is_empty() {
            "Plug in the security key.".to_owned()
        } else {
            format!("Plug in your security key: {}", names.join(" or "))
        };
        self.person.tell(&line);
        if std::env::var_os("SSH_CONNECTION").is_some() {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            self.person.tell(&format!("You are here over SSH: it must be plugged into {host}, not into your machine."));
        }
    }
}

impl Key {
    fn new(name: String) -> Self {
        Self {
            name,
            info: KeyInfo::default(),
            stage: Stage::Opening,
            credentials: Vec::new(),
            pin: None,
            needs_pin: false,
            light: None,
            busy_told: false,
        }
    }

    fn wants_pin(&self, wish: &Wish) -> bool {
        let by_itself = self.info.built_in == Some(true) && !self.needs_pin;
        self.needs_pin || (wish.verifies_with(&self.info) && !by_itself && self.info.pin == Some(true))
    }
}

/// What the person calls it, and what it calls itself.
fn known_as(enrolled: &[EnrolledKey], found: &[Bytes], device: &str) -> String {
    let name = enrolled.iter().find(|key| found.iter().any(|id| base64url(&id.0) == key.credential_id));
    name.map_or_else(|| device.to_owned(), |key| format!("'{}' ({device})", key.name))
}

/// An answer that makes no sense.
pub fn unreadable(name: &str) -> Error {
    Error::new(ErrorCode::VerificationFailed, format!("what {name} answers can't be read"))
        .hint("unplug it and plug it in again, then run the command again; nothing was approved")
}
