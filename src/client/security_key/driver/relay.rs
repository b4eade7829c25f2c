//! Stands between the library and the key, frame by frame (CTAP 2.1 section 11.2, CTAPHID): the library reads without a
//! limit, takes what is meant for others, sleeps at every keepalive and knows no way to stop. Here frames of other
//! channels are dropped, keepalives end, what is busy is asked again, a time limit holds, and a cancelled request is
//! cancelled at the key. The library gets whole answers and nothing else.

use super::{Fault, status};
use crate::protocol::encoding::random;
use ciborium::Value;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

const FRAME: usize = 64;
/// What the library takes in one answer: it reads 100 continuation frames and leaves the others to the next request.
const ANSWER_MAX: usize = FRAME - 7 + 100 * (FRAME - 5);
const INIT: u8 = 0x86;
const CBOR: u8 = 0x90;
const CANCEL: u8 = 0x91;
const KEEPALIVE: u8 = 0xbb;
const ERROR: u8 = 0xbf;
const BROADCAST: [u8; 4] = [0xff; 4];
/// The keepalive status "waiting for a touch".
const UP_NEEDED: u8 = 2;
/// CTAPHID error "invalid command".
const INVALID_COMMAND: u8 = 0x01;
/// CTAPHID error "channel busy".
const CHANNEL_BUSY: u8 = 0x06;
/// After how long a busy key is asked again.
const BUSY_WAIT: Duration = Duration::from_millis(250);
/// How long a key may take to put its light out.
const CANCEL_WAIT: Duration = Duration::from_millis(800);
const CLIENT_PIN: u8 = 0x06;
const GET_PIN_TOKEN: i128 = 0x05;
const GET_PIN_TOKEN_WITH_PERMISSIONS: i128 = 0x09;

/// What the relay tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The key's light is on, or out.
    Light(bool),
    /// Another program uses it.
    Busy,
}

/// What a PIN token may be used for (CTAP 2.1 section 6.5.5.7): the library asks for one that may be used for more.
#[derive(Debug, Clone)]
pub struct Permissions {
    /// 1 make a credential, 2 get an assertion.
    pub bits: u8,
    /// For whom.
    pub rp_id: String,
}

#[derive(Default)]
struct Orders {
    until: Option<Instant>,
    cancel: bool,
    closed: bool,
    /// How many commands came, and how many of them were there when we cancelled.
    commands: u64,
    cancelled: u64,
    permissions: Option<Permissions>,
    status: u8,
    fault: Option<Fault>,
}

/// The library's side of the relay.
pub struct Relay {
    orders: Arc<Mutex<Orders>>,
    wake: OwnedFd,
}

fn lock(orders: &Mutex<Orders>) -> MutexGuard<'_, Orders> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// Begins to relay between the device and the library's end of a socket.
    ///
    /// # Errors
    /// Where there are no more descriptors.
    pub fn start(device: File, library: OwnedFd, sign: impl Fn(Sign) + Send + 'static) -> std::io::Result<Arc<Self>> {
        let (woken, wake) = rustix::pipe::pipe()?;
        let orders = Arc::new(Mutex::new(Orders::default()));
        let mut line = Line {
            device,
            library: File::from(library),
            woken: File::from(woken),
            orders: orders.clone(),
            sign: Box::new(sign),
            nonce: None,
            channel: None,
            request: Vec::new(),
            outgoing: None,
            incoming: None,
            waiting: false,
            heard: false,
            light: false,
            busy_until: None,
            cancelled_at: None,
            stale: false,
            syncing: None,
            gone: false,
        };
        std::thread::spawn(move || line.run());
        Ok(Arc::new(Self { orders, wake }))
    }

    /// Before each command: how long it may take, and what a PIN token that it gets may be used for.
    pub fn begin(&self, within: Duration, permissions: Option<Permissions>) {
        let mut orders = lock(&self.orders);
        orders.until = Some(Instant::now() + within);
        orders.permissions = permissions;
        (orders.status, orders.fault) = (0, None);
    }

    /// A command came, but may have to wait for its turn; its number, for [`Relay::resume`].
    #[must_use]
    pub fn announce(&self) -> u64 {
        let mut orders = lock(&self.orders);
        orders.commands += 1;
        orders.commands
    }

    /// What is under way is cancelled at the key; all that was announced before is refused.
    pub fn cancel(&self) {
        let mut orders = lock(&self.orders);
        orders.cancel = true;
        orders.cancelled = orders.commands;
        drop(orders);
        let _ = rustix::io::write(&self.wake, b"c");
    }

    /// As [`Relay::cancel`], and nothing is taken up again.
    pub fn close(&self) {
        lock(&self.orders).closed = true;
        self.cancel();
    }

    /// It is this command's turn, unless it was cancelled while it waited.
    pub fn resume(&self, command: u64) {
        let mut orders = lock(&self.orders);
        orders.cancel = orders.closed || command <= orders.cancelled;
    }

    /// Why the last command failed: what the relay saw, else the status that the key answered.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let orders = lock(&self.orders);
        match (orders.fault, orders.status) {
            (Some(fault), _) => fault,
            (None, 0) => Fault::Garbled,
            (None, status) => Fault::Status(status),
        }
    }
}

/// A message that is put together from frames.
struct Message {
    command: u8,
    length: usize,
    payload: Vec<u8>,
    sequence: u8,
}

impl Message {
    /// From an initialization frame.
    fn begin(frame: &[u8; FRAME]) -> Self {
        let length = usize::from(u16::from_be_bytes([frame[5], frame[6]]));
        let payload = frame[7..].iter().copied().take(length).collect();
        Self { command: frame[4], length, payload, sequence: 0 }
    }

    /// With a continuation frame; `None` where it is not the next one.
    fn next(mut self, frame: &[u8; FRAME]) -> Option<Self> {
        if frame[4] != self.sequence {
            return None;
        }
        let missing = self.length - self.payload.len();
        self.payload.extend(frame[5..].iter().take(missing));
        self.sequence += 1;
        Some(self)
    }

    fn is_whole(&self) -> bool {
        self.payload.len() == self.length
    }
}

/// The frames of a message.
fn frames(channel: [u8; 4], command: u8, payload: &[u8]) -> Vec<[u8; FRAME]> {
    let (first, rest) = payload.split_at(payload.len().min(FRAME - 7));
    let mut frame = [0; FRAME];
    frame[..4].copy_from_slice(&channel);
    frame[4] = command;
    frame[5..7].copy_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
    frame[7..7 + first.len()].copy_from_slice(first);
    let mut all = vec![frame];
    for (part, sequence) in rest.chunks(FRAME - 5).zip(0..=0x7f) {
        let mut frame = [0; FRAME];
        frame[..4].copy_from_slice(&channel);
        frame[4] = sequence;
        frame[5..5 + part.len()].copy_from_slice(part);
        all.push(frame);
    }
    all
}

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the line")]
struct Line {
    device: File,
    library: File,
    woken: File,
    orders: Arc<Mutex<Orders>>,
    sign: Box<dyn Fn(Sign) + Send>,
    /// Of the INIT that is under way.
    nonce: Option<[u8; 8]>,
    channel: Option<[u8; 4]>,
    /// The last request, to be sent again where the key was busy.
    request: Vec<[u8; FRAME]>,
    outgoing: Option<Message>,
    incoming: Option<Message>,
    /// Whether the library waits for an answer.
    waiting: bool,
    /// Whether the key has said anything since.
    heard: bool,
    light: bool,
    busy_until: Option<Instant>,
    cancelled_at: Option<Instant>,
    /// Whether an answer that nobody waits for any more may still come on our channel.
    stale: bool,
    /// The nonce of the INIT by which the key forgets what was before (CTAP 2.1 section 11.2.9.1.3).
    syncing: Option<[u8; 8]>,
    gone: bool,
}

impl Line {
    fn run(&mut self) {
        loop {
            let timeout = self.timeout();
            let mut ready = [
                PollFd::new(&self.library, PollFlags::IN),
                PollFd::new(&self.woken, PollFlags::IN),
                PollFd::new(&self.device, PollFlags::IN),
            ];
            let watched = if self.gone { 2 } else { 3 };
            match poll(ready.get_mut(..watched).unwrap_or_default(), timeout.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            let [library, woken, device] = ready.map(|it| it.revents());
            if !woken.is_empty() {
                let _ = self.woken.read(&mut [0; 16]);
            }
            if !device.is_empty() && !self.gone {
                self.take_report();
            }
            if !library.is_empty() && !self.take_request() {
                return;
            }
            self.keep_time();
        }
    }

    fn timeout(&self) -> Option<Timespec> {
        if !self.waiting {
            return None;
        }
        let next = match self.cancelled_at {
            Some(at) => at + CANCEL_WAIT,
            None => [lock(&self.orders).until, self.busy_until].into_iter().flatten().min()?,
        };
        let left = next.saturating_duration_since(Instant::now());
        Timespec::try_from(left + Duration::from_millis(1)).ok()
    }

    /// Ends what takes too long, cancels what is not wanted any more, asks again what was busy.
    fn keep_time(&mut self) {
        if !self.waiting {
            return;
        }
        let now = Instant::now();
        let (until, cancel) = {
            let orders = lock(&self.orders);
            (orders.until, orders.cancel)
        };
        if self.gone {
            self.fail(Fault::Gone);
        } else if let Some(at) = self.cancelled_at {
            if now >= at + CANCEL_WAIT {
                self.stale = true;
                self.fail(self.why_ended());
            }
        } else if cancel || until.is_some_and(|until| now >= until) {
            self.cancel_at_key(now);
        } else if self.busy_until.is_some_and(|until| now >= until) {
            self.busy_until = None;
            self.send_request();
        }
    }

    fn cancel_at_key(&mut self, now: Instant) {
        match (self.channel, self.busy_until) {
            (Some(channel), None) if self.syncing.is_none() => {
                self.cancelled_at = Some(now);
                self.send(&frames(channel, CANCEL, &[]));
            }
            // Nothing of ours is under way at the key.
            _ => self.fail(self.why_ended()),
        }
    }

    fn why_ended(&self) -> Fault {
        if lock(&self.orders).cancel {
            Fault::Cancelled
        } else if self.heard {
            Fault::Status(status::USER_ACTION_TIMEOUT)
        } else {
            Fault::Silent
        }
    }

    fn send(&mut self, frames: &[[u8; FRAME]]) {
        for frame in frames {
            // hidraw wants the report id first: 0, there is only one.
            let mut report = [0; FRAME + 1];
            report[1..].copy_from_slice(frame);
            if self.device.write_all(&report).is_err() {
                self.gone = true;
                return;
            }
        }
    }

    fn send_request(&mut self) {
        if let (true, Some(channel)) = (self.stale, self.channel) {
            let nonce = *self.syncing.insert(random());
            return self.send(&frames(channel, INIT, &nonce));
        }
        let request = std::mem::take(&mut self.request);
        self.send(&request);
        self.request = request;
    }

    fn is_busy(&mut self) {
        (self.sign)(Sign::Busy);
        self.busy_until = Some(Instant::now() + BUSY_WAIT);
    }

    /// A frame from the library; `false` where it is gone.
    fn take_request(&mut self) -> bool {
        let mut report = [0; FRAME + 1];
        match self.library.read(&mut report) {
            Ok(count) if count == FRAME + 1 => {}
            _ => return false,
        }
        let mut frame = [0; FRAME];
        frame.copy_from_slice(&report[1..]);
        let message = match self.outgoing.take() {
            _ if frame[4] & 0x80 != 0 => Message::begin(&frame),
            Some(message) => match message.next(&frame) {
                Some(message) => message,
                None => return true,
            },
            None => return true,
        };
        if !message.is_whole() {
            self.outgoing = Some(message);
            return true;
        }
        let channel = [frame[0], frame[1], frame[2], frame[3]];
        let payload = if message.command == CBOR { self.narrowed(message.payload) } else { message.payload };
        if message.command == INIT {
            self.nonce = payload.first_chunk::<8>().copied();
            self.channel = None;
        }
        self.request = frames(channel, message.command, &payload);
        self.incoming = None;
        self.cancelled_at = None;
        self.busy_until = None;
        self.waiting = true;
        self.heard = false;
        self.syncing = None;
        if lock(&self.orders).cancel {
            self.fail(Fault::Cancelled);
        } else {
            self.send_request();
        }
        true
    }

    /// The library asks for PIN tokens of the old kind; a key that can is asked for one that is good for one purpose and
    /// one relying party. Its answer has the same form.
    fn narrowed(&self, payload: Vec<u8>) -> Vec<u8> {
        let Some(permissions) = lock(&self.orders).permissions.clone() else { return payload };
        let Some((&CLIENT_PIN, body)) = payload.split_first() else { return payload };
        let Ok(Value::Map(mut members)) = ciborium::from_reader::<Value, _>(body) else { return payload };
        let number = |number: i128| Value::Integer(ciborium::value::Integer::try_from(number).unwrap_or(0.into()));
        let Some((_, subcommand)) = members.iter_mut().find(|(key, _)| *key == number(2)) else { return payload };
        if *subcommand != number(GET_PIN_TOKEN) {
            return payload;
        }
        *subcommand = number(GET_PIN_TOKEN_WITH_PERMISSIONS);
        members.push((number(9), number(permissions.bits.into())));
        members.push((number(10), Value::Text(permissions.rp_id)));
        let mut narrowed = vec![CLIENT_PIN];
        match ciborium::into_writer(&Value::Map(members), &mut narrowed) {
            Ok(()) => narrowed,
            Err(_) => payload,
        }
    }

    fn take_report(&mut self) {
        let mut frame = [0; FRAME];
        match self.device.read(&mut frame) {
            Ok(FRAME) => {}
            Ok(0) | Err(_) => {
                self.gone = true;
                return;
            }
            Ok(_) => return,
        }
        if !self.waiting {
            return;
        }
        let channel = [frame[0], frame[1], frame[2], frame[3]];
        match self.channel {
            None => self.channel_given(channel, &frame),
            Some(ours) if ours == channel => {
                self.heard = true;
                self.on_our_channel(&frame);
            }
            Some(_) => {}
        }
    }

    /// The answer to our INIT, and to nobody else's (section 11.2.9.1.3).
    fn channel_given(&mut self, channel: [u8; 4], frame: &[u8; FRAME]) {
        let message = Message::begin(frame);
        if channel != BROADCAST || message.payload.len() != message.length {
            return;
        }
        if (message.command, message.payload.first()) == (ERROR, Some(&CHANNEL_BUSY)) {
            return self.is_busy();
        }
        if message.command != INIT || message.length < 17 {
            return;
        }
        if message.payload.first_chunk::<8>().copied() != self.nonce {
            return;
        }
        self.channel = message.payload.get(8..12).and_then(|given| given.try_into().ok());
        self.answer_frames(&[*frame]);
    }

    /// While the key is to forget what was before, only its word that it did so counts.
    fn on_stale_channel(&mut self, nonce: [u8; 8], frame: &[u8; FRAME]) {
        let message = Message::begin(frame);
        match (message.command, message.payload.first_chunk::<8>()) {
            (INIT, Some(echo)) if *echo == nonce => {
                (self.stale, self.syncing) = (false, None);
                self.send_request();
            }
            (ERROR, _) if message.payload.first() == Some(&CHANNEL_BUSY) => self.is_busy(),
            _ => {}
        }
    }

    fn on_our_channel(&mut self, frame: &[u8; FRAME]) {
        if let Some(nonce) = self.syncing {
            return self.on_stale_channel(nonce, frame);
        }
        let next = match self.incoming.take() {
            _ if frame[4] & 0x80 != 0 => Some(Message::begin(frame)),
            Some(message) => message.next(frame),
            None => return,
        };
        let Some(message) = next else {
            self.stale = true;
            return self.fail(Fault::Garbled);
        };
        if !message.is_whole() {
            if message.length > ANSWER_MAX {
                self.stale = true;
                return self.fail(Fault::Garbled);
            }
            self.incoming = Some(message);
            return;
        }
        match (message.command, message.payload.first()) {
            (KEEPALIVE, Some(&state)) => self.set_light(state == UP_NEEDED),
            (ERROR, _) if self.cancelled_at.is_some() => self.fail(self.why_ended()),
            (ERROR, Some(&CHANNEL_BUSY)) => self.is_busy(),
            // It knows no CBOR: it is older than CTAP 2.
            (ERROR, Some(&INVALID_COMMAND)) => self.fail(Fault::Status(status::INVALID_COMMAND)),
            (ERROR, _) | (CBOR, None) => self.fail(Fault::Garbled),
            (CBOR, Some(&status)) => {
                if self.cancelled_at.is_some() && status == status::KEEPALIVE_CANCEL {
                    return self.fail(self.why_ended());
                }
                lock(&self.orders).status = status;
                let channel = self.channel.unwrap_or_default();
                self.answer_frames(&frames(channel, CBOR, &message.payload));
            }
            _ => {}
        }
    }

    /// The library's request ends with an error that it understands.
    fn fail(&mut self, fault: Fault) {
        lock(&self.orders).fault.get_or_insert(fault);
        let answer = match self.channel {
            Some(channel) => frames(channel, CBOR, &[status::OTHER]),
            None => frames(BROADCAST, INIT, &[0; 17]),
        };
        self.answer_frames(&answer);
    }

    fn answer_frames(&mut self, answer: &[[u8; FRAME]]) {
        self.waiting = false;
        self.incoming = None;
        self.cancelled_at = None;
        self.busy_until = None;
        self.set_light(false);
        for frame in answer {
            let _ = self.library.write_all(frame);
        }
    }

    fn set_light(&mut self, on: bool) {
        if self.light != on {
            self.light = on;
            (self.sign)(Sign::Light(on));
        }
    }
}

/// A pair of sockets that keep frames apart: the library's end, and the relay's.
///
/// # Errors
/// Where there are no more descriptors.
pub fn socket_pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}
