//! A security key that isn't there: CTAP 2.1 (FIDO Alliance, 21 June 2022) on `/dev/uhid`, for tests. It is written from
//! the specification alone and shares no code with `elevate`, so that the two can disagree.
//!
//! One thread and one poll loop over the device, the control FIFO and the timers, so that keepalives go out and a CANCEL
//! is honoured while a touch is waited for. The log says `blink-start` and `blink-stop WHY`: what a person would see the
//! light do.

mod attestation;
mod authenticator;
mod cbor;
mod client_pin;
mod control;
mod credential_management;
mod credentials;
mod ctaphid;
mod extensions;
mod pin_protocol;
mod status;
mod uhid;

use authenticator::{Authenticator, Operation, Outcome};
use control::{Act, Fifo, Freeze, Settings, Split, Touch};
use ctaphid::{Assembled, Assembler, Channel, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use status::Status;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a person takes to refuse.
const DENY_AFTER: Duration = Duration::from_millis(300);
/// Between two frames of an answer where it is split.
const SPLIT_PAUSE: Duration = Duration::from_millis(15);
const FIRST_CHANNEL: Channel = 0x0001_0001;
const FOREIGN_CHANNEL: Channel = 0x7777_7777;
const TICK: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("virtual-key: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut settings = Settings::default();
    let mut authenticator = Authenticator::new();
    let arguments = control::parse(std::env::args().skip(1), &mut settings, &mut authenticator)?;
    if arguments.print_root || arguments.print_leaf {
        if arguments.print_root {
            print!("{}", attestation::root_pem());
        }
        if arguments.print_leaf {
            print!("{}", attestation::leaf_pem(&authenticator.aaguid));
        }
        return Ok(());
    }
    let log = Log::open(arguments.log.as_deref()).map_err(|error| format!("the log: {error}"))?;
    let on_panic = log.clone();
    std::panic::set_hook(Box::new(move |panic| on_panic.line(&format!("PANIC {panic}"))));
    let fifo = match &arguments.control {
        Some(path) => Some(Fifo::create(path).map_err(|error| format!("the control FIFO: {error}"))?),
        None => None,
    };
    let device = uhid::Device::create(&arguments.identity).map_err(|error| format!("/dev/uhid: {error}"))?;
    log.line(&format!("created {}", arguments.identity.name));
    println!("READY");
    let _nobody_reads = io::stdout().flush();
    Key {
        device,
        fifo,
        log,
        settings,
        authenticator,
        assembler: Assembler::default(),
        next_channel: FIRST_CHANNEL,
        waiting: None,
    }
    .serve()
    .map_err(|error| error.to_string())
}

/// A touch that is waited for.
struct Waiting {
    channel: Channel,
    operation: Operation,
    since: Instant,
    last_keepalive: Option<Instant>,
}

struct Key {
    device: uhid::Device,
    fifo: Option<Fifo>,
    log: Log,
    settings: Settings,
    authenticator: Authenticator,
    assembler: Assembler,
    next_channel: Channel,
    waiting: Option<Waiting>,
}

impl Key {
    /// Until the key is pulled out.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            self.wait()?;
            for line in self.fifo.as_mut().map(Fifo::lines).unwrap_or_default() {
                self.log.line(&format!("ctl {line}"));
                let (word, value) = line.split_once(' ').unwrap_or((&line, "on"));
                match control::apply(&mut self.settings, &mut self.authenticator, word, value) {
                    Ok(None) => {}
                    Ok(Some(Act::Tap)) => self.tap(),
                    Ok(Some(Act::Remove)) => return self.remove(),
                    Err(error) => self.log.line(&format!("ERROR {error}")),
                }
            }
            if self.is_pulled_out() {
                return self.remove();
            }
            self.tick();
            while let Some(event) = self.device.read() {
                match event {
                    uhid::Event::Note(note) => self.log.line(&format!("uhid {note}")),
                    uhid::Event::Output(report) => match self.assembler.push(&report, Instant::now()) {
                        Assembled::Nothing => {}
                        Assembled::Complete(message) => self.message(&message),
                        Assembled::Refused(channel, code) => self.error(channel, code),
                    },
                }
            }
            if let Some(channel) = self.assembler.timed_out(Instant::now()) {
                self.error(channel, ctaphid::MESSAGE_TIMEOUT);
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let limit = if self.waiting.is_some() { TICK } else { IDLE };
        let limit = Timespec::try_from(limit).expect("a second at most");
        let mut sources = vec![PollFd::from_borrowed_fd(self.device.as_fd(), PollFlags::IN)];
        sources.extend(self.fifo.iter().map(|fifo| PollFd::from_borrowed_fd(fifo.as_fd(), PollFlags::IN)));
        match poll(&mut sources, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    // ------------------------------------------------------------------------------------------- while a touch is waited for

    fn is_pulled_out(&self) -> bool {
        let limit = self.settings.remove_after;
        self.waiting.as_ref().is_some_and(|waiting| limit.is_some_and(|limit| waiting.since.elapsed() >= limit))
    }

    fn remove(&mut self) -> io::Result<()> {
        self.device.destroy();
        if self.waiting.is_some() {
            self.log.line("blink-stop removed");
        }
        self.log.line("removed");
        self.authenticator.save_state()
    }

    fn tick(&mut self) {
        if self.settings.freeze != Freeze::No {
            return;
        }
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let channel = waiting.channel;
        let waited = waiting.since.elapsed();
        let is_due = waiting.last_keepalive.is_none_or(|last| last.elapsed() >= self.settings.keepalive);
        if is_due && !self.settings.no_keepalive {
            waiting.last_keepalive = Some(Instant::now());
            self.send(channel, ctaphid::KEEPALIVE, &[ctaphid::UP_NEEDED]);
            if self.settings.foreign_init {
                self.send(ctaphid::BROADCAST, ctaphid::INIT, &[0; 17]);
            }
            if self.settings.foreign {
                self.send(FOREIGN_CHANNEL, ctaphid::CBOR, &[Status::Ok as u8, 0xa0]);
            }
        }
        match self.settings.touch {
            Touch::After(delay) if waited >= delay => self.tap(),
            Touch::Deny if waited >= DENY_AFTER => self.give_up("deny", Status::OperationDenied),
            _ if waited >= self.settings.up_timeout => self.give_up("timeout", Status::UserActionTimeout),
            _ => {}
        }
    }

    fn tap(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            let reply = self.authenticator.touched(waiting.operation, &self.settings);
            let after = waiting.since.elapsed().as_secs_f64();
            self.log.line(&format!("blink-stop touch after {after:.3} s -> {:02x}", reply[0]));
            self.reply(waiting.channel, &reply);
        }
    }

    fn give_up(&mut self, why: &str, status: Status) {
        if let Some(waiting) = self.waiting.take() {
            self.log.line(&format!("blink-stop {why} after {:.3} s", waiting.since.elapsed().as_secs_f64()));
            self.send(waiting.channel, ctaphid::CBOR, &[status as u8]);
        }
    }

    // ---------------------------------------------------------------------------------------------------------- messages

    fn message(&mut self, message: &Message) {
        let Message { channel, command, payload } = message;
        let channel = *channel;
        let is_waiting_here = self.waiting.as_ref().is_some_and(|waiting| waiting.channel == channel);
        if self.settings.freeze == Freeze::All {
            return self.log.line(&format!("command {command:02x} swallowed"));
        }
        match *command {
            ctaphid::INIT => self.init(channel, payload),
            _ if !(FIRST_CHANNEL..self.next_channel).contains(&channel) => {
                self.error(channel, ctaphid::INVALID_CHANNEL);
            }
            ctaphid::CBOR | ctaphid::CANCEL if self.settings.freeze == Freeze::Requests => {
                self.log.line(&format!("command {command:02x} swallowed"));
            }
            ctaphid::CANCEL if is_waiting_here => self.give_up("cancel", Status::KeepaliveCancel),
            ctaphid::CANCEL => self.log.line("cancel ignored"),
            _ if self.waiting.is_some() || self.settings.busy => self.error(channel, ctaphid::CHANNEL_BUSY),
            ctaphid::PING => self.send(channel, ctaphid::PING, payload),
            ctaphid::WINK => {
                self.log.line("wink");
                self.send(channel, ctaphid::WINK, &[]);
            }
            ctaphid::CBOR if !self.settings.u2f_only => self.cbor(channel, payload),
            // A U2F key of no commands: "instruction not supported".
            ctaphid::MSG if self.settings.u2f_only => self.send(channel, ctaphid::MSG, &[0x6d, 0x00]),
            _ => self.error(channel, ctaphid::INVALID_COMMAND),
        }
    }

    /// A new channel, or the old one with what was under way on it given up: section 11.2.9.1.3.
    fn init(&mut self, channel: Channel, nonce: &[u8]) {
        let allocated = if channel == ctaphid::BROADCAST {
            self.next_channel += 1;
            self.next_channel - 1
        } else {
            if self.waiting.take_if(|waiting| waiting.channel == channel).is_some() {
                self.log.line("blink-stop init");
            }
            channel
        };
        let capabilities = if self.settings.u2f_only {
            ctaphid::CAPABILITY_WINK
        } else {
            ctaphid::CAPABILITY_WINK | ctaphid::CAPABILITY_CBOR | ctaphid::CAPABILITY_NMSG
        };
        let mut reply = nonce.to_vec();
        reply.resize(8, 0);
        reply.extend(allocated.to_be_bytes());
        reply.extend([ctaphid::PROTOCOL_VERSION, 2, 1, 0, capabilities]);
        self.log.line(&format!("INIT channel {allocated:08x}"));
        self.send(channel, ctaphid::INIT, &reply);
    }

    fn cbor(&mut self, channel: Channel, request: &[u8]) {
        let outcome = self.authenticator.handle(request, &self.settings);
        let command = self.authenticator.described();
        match outcome {
            Outcome::Reply(reply) => {
                self.log.line(&format!("CBOR {command} -> {:02x} ({} bytes)", reply[0], reply.len()));
                self.reply(channel, &reply);
            }
            Outcome::Touch(operation) => {
                self.log.line(&format!("CBOR {command} blink-start {:?}", self.settings.touch));
                let since = Instant::now();
                self.waiting = Some(Waiting { channel, operation, since, last_keepalive: None });
            }
        }
    }

    fn error(&mut self, channel: Channel, code: u8) {
        self.log.line(&format!("channel {channel:08x} is told error {code:02x}"));
        self.send(channel, ctaphid::ERROR, &[code]);
    }

    fn reply(&mut self, channel: Channel, reply: &[u8]) {
        if let Err(error) = self.authenticator.save_state() {
            self.log.line(&format!("ERROR the state can't be saved: {error}"));
        }
        if self.settings.garbage {
            // An array of which nothing follows.
            self.send(channel, ctaphid::CBOR, &[Status::Ok as u8, 0x9f, 0xff, 0xff, 0x1c]);
        } else {
            self.send(channel, ctaphid::CBOR, reply);
        }
    }

    fn send(&mut self, channel: Channel, command: u8, payload: &[u8]) {
        for (index, report) in ctaphid::reports(channel, command, payload).iter().enumerate() {
            if self.settings.split != Split::No && index > 0 {
                std::thread::sleep(SPLIT_PAUSE);
            }
            if self.settings.split == Split::Odd && index > 0 {
                // Another program's, whole or only begun; KEEPALIVE has no place within a message.
                for foreign in ctaphid::reports(FOREIGN_CHANNEL, ctaphid::CBOR, &[0; 64]).iter().take(1 + index % 2) {
                    self.device.send(foreign);
                }
            }
            self.device.send(report);
        }
    }
}

/// Lines with the seconds since the start before them.
#[derive(Clone)]
struct Log {
    started: Instant,
    file: Option<Arc<Mutex<File>>>,
}

impl Log {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let file = path.map(open).transpose()?.map(|file| Arc::new(Mutex::new(file)));
        Ok(Self { started: Instant::now(), file })
    }

    fn line(&self, line: &str) {
        let line = format!("[{:8.3}] {line}\n", self.started.elapsed().as_secs_f64());
        let _nowhere_to_say_so = match &self.file {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}
