//! The test plays both ends: the key, which may do as it likes, and the library, which believes all that it reads.

use super::*;
use proptest::prelude::*;
use std::sync::mpsc::{Receiver, channel};

const CHANNEL: [u8; 4] = [1, 2, 3, 4];
const OTHER: [u8; 4] = [9, 9, 9, 9];
const PROCESSING: u8 = 1;
/// Nothing here takes longer; what does hangs.
const SOON: Duration = Duration::from_secs(5);
/// How long we look for what must not come.
const QUIET: Duration = Duration::from_millis(120);
const ASK: &[u8] = &[0x02, 0xa0];

struct Ends {
    relay: Arc<Relay>,
    key: Option<File>,
    library: File,
    signs: Receiver<Sign>,
}

fn read(end: &File, within: Duration) -> Option<Vec<u8>> {
    let timeout = Timespec::try_from(within).unwrap();
    if poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&timeout)).unwrap() == 0 {
        return None;
    }
    let mut bytes = vec![0; 100];
    let count = (&*end).read(&mut bytes).unwrap();
    bytes.truncate(count);
    Some(bytes)
}

impl Ends {
    fn new() -> Self {
        let (key, device) = socket_pair().unwrap();
        let (library, ours) = socket_pair().unwrap();
        let (send, signs) = channel();
        let relay = Relay::start(File::from(device), ours, move |sign| {
            let _ = send.send(sign);
        })
        .unwrap();
        relay.begin(SOON, None);
        Self { relay, key: Some(File::from(key)), library: File::from(library), signs }
    }

    /// With a channel.
    fn opened() -> Self {
        let ends = Self::new();
        ends.asks(BROADCAST, INIT, b"12345678");
        ends.key_gets(BROADCAST, INIT, b"12345678");
        ends.key_says(BROADCAST, INIT, &init_answer(b"12345678", CHANNEL));
        assert_eq!(ends.answer(), (BROADCAST, INIT, init_answer(b"12345678", CHANNEL)));
        ends
    }

    /// With a request that the key has, and that may take so long.
    fn asked(within: Duration) -> Self {
        let ends = Self::opened();
        ends.relay.begin(within, None);
        ends.asks(CHANNEL, CBOR, ASK);
        ends.key_gets(CHANNEL, CBOR, ASK);
        ends
    }

    fn key(&self) -> &File {
        self.key.as_ref().unwrap()
    }

    fn asks(&self, channel: [u8; 4], command: u8, payload: &[u8]) {
        for frame in frames(channel, command, payload) {
            (&self.library).write_all(&[&[0], frame.as_slice()].concat()).unwrap();
        }
    }

    fn key_says(&self, channel: [u8; 4], command: u8, payload: &[u8]) {
        for frame in frames(channel, command, payload) {
            self.key_sends(&frame);
        }
    }

    fn key_sends(&self, frame: &[u8]) {
        self.key().write_all(frame).unwrap();
    }

    /// A whole message that reached the key.
    fn at_key(&self, within: Duration) -> Option<([u8; 4], u8, Vec<u8>)> {
        message(|| {
            let report = read(self.key(), within)?;
            assert_eq!((report.len(), report[0]), (FRAME + 1, 0), "a report with its id");
            Some(report[1..].to_vec())
        })
    }

    fn key_gets(&self, channel: [u8; 4], command: u8, payload: &[u8]) {
        assert_eq!(self.at_key(SOON), Some((channel, command, payload.to_vec())));
    }

    fn key_gets_nothing(&self) {
        assert_eq!(self.at_key(QUIET), None);
    }

    /// A whole message that reached the library.
    fn at_library(&self, within: Duration) -> Option<([u8; 4], u8, Vec<u8>)> {
        message(|| read(&self.library, within))
    }

    fn answer(&self) -> ([u8; 4], u8, Vec<u8>) {
        self.at_library(SOON).expect("an answer")
    }

    fn no_answer(&self) {
        assert_eq!(self.at_library(QUIET), None);
    }

    /// The library's request ends with an error of the relay's.
    fn fails_with(&self, fault: Fault) {
        assert_eq!(self.answer(), (CHANNEL, CBOR, vec![status::OTHER]));
        assert_eq!(self.relay.fault(), fault);
        self.no_answer();
    }

    /// Request and answer, to show that all is well.
    fn works(&self) {
        self.relay.begin(SOON, None);
        self.asks(CHANNEL, CBOR, ASK);
        self.key_gets(CHANNEL, CBOR, ASK);
        self.key_says(CHANNEL, CBOR, &[0, 42]);
        assert_eq!(self.answer(), (CHANNEL, CBOR, vec![0, 42]));
        self.no_answer();
    }

    /// As [`Ends::works`], after the key was made to forget what it was doing.
    fn works_anew(&self) {
        self.relay.begin(SOON, None);
        self.asks(CHANNEL, CBOR, ASK);
        let (channel, command, nonce) = self.at_key(SOON).unwrap();
        assert_eq!((channel, command, nonce.len()), (CHANNEL, INIT, 8));
        // The late answer, before the key has read our INIT.
        self.key_says(CHANNEL, CBOR, &[0, 13, 13]);
        self.key_gets_nothing();
        self.key_says(CHANNEL, INIT, &init_answer(&nonce, CHANNEL));
        self.key_gets(CHANNEL, CBOR, ASK);
        self.no_answer();
        self.key_says(CHANNEL, CBOR, &[0, 42]);
        assert_eq!(self.answer(), (CHANNEL, CBOR, vec![0, 42]));
        self.works();
    }

    fn signs(&self) -> Vec<Sign> {
        self.signs.try_iter().collect()
    }

    fn next_sign(&self) -> Sign {
        self.signs.recv_timeout(SOON).unwrap()
    }
}

/// Put together by the book; frames that do not fit together are a failed test.
fn message(mut next: impl FnMut() -> Option<Vec<u8>>) -> Option<([u8; 4], u8, Vec<u8>)> {
    let first = next()?;
    assert_eq!(first.len(), FRAME);
    assert!(first[4] & 0x80 != 0, "a message begins with its first frame");
    let length = usize::from(u16::from_be_bytes([first[5], first[6]]));
    let mut payload = first[7..].to_vec();
    for sequence in 0.. {
        if payload.len() >= length {
            break;
        }
        let frame = next().expect("the rest of a message");
        assert_eq!((&frame[..4], frame[4]), (&first[..4], sequence));
        payload.extend(&frame[5..]);
    }
    payload.truncate(length);
    Some((first[..4].try_into().unwrap(), first[4], payload))
}

fn init_answer(nonce: &[u8], channel: [u8; 4]) -> Vec<u8> {
    [nonce, &channel, &[2, 5, 7, 1, 0x0d]].concat()
}

#[test]
fn a_foreign_init_is_not_ours() {
    let ends = Ends::new();
    ends.asks(BROADCAST, INIT, b"12345678");
    ends.key_gets(BROADCAST, INIT, b"12345678");
    ends.key_says(BROADCAST, INIT, &init_answer(b"87654321", OTHER));
    ends.key_says(BROADCAST, INIT, b"12345678");
    ends.key_says(OTHER, INIT, &init_answer(b"12345678", OTHER));
    ends.key_says(BROADCAST, CBOR, &[0; 17]);
    ends.no_answer();
    ends.key_says(BROADCAST, INIT, &init_answer(b"12345678", CHANNEL));
    assert_eq!(ends.answer().2, init_answer(b"12345678", CHANNEL));
    // A second one that comes late names no other channel.
    ends.key_says(BROADCAST, INIT, &init_answer(b"12345678", OTHER));
    ends.works();
}

#[test]
fn no_init_at_all() {
    let ends = Ends::new();
    ends.relay.begin(Duration::from_millis(200), None);
    ends.asks(BROADCAST, INIT, b"12345678");
    let started = Instant::now();
    assert_eq!(ends.answer(), (BROADCAST, INIT, vec![0; 17]));
    assert!(started.elapsed() < Duration::from_millis(1200));
    assert_eq!(ends.relay.fault(), Fault::Silent);
}

#[test]
fn a_busy_key_is_asked_for_its_channel_again() {
    let ends = Ends::new();
    ends.asks(BROADCAST, INIT, b"12345678");
    ends.key_gets(BROADCAST, INIT, b"12345678");
    ends.key_says(BROADCAST, ERROR, &[CHANNEL_BUSY]);
    assert_eq!(ends.next_sign(), Sign::Busy);
    ends.key_gets(BROADCAST, INIT, b"12345678");
    ends.key_says(BROADCAST, INIT, &init_answer(b"12345678", CHANNEL));
    ends.answer();
    ends.works();
}

#[test]
fn frames_of_others_are_dropped() {
    let ends = Ends::asked(SOON);
    ends.key_says(OTHER, CBOR, &[0x2e]);
    ends.key_says(OTHER, KEEPALIVE, &[UP_NEEDED]);
    ends.key_says(OTHER, ERROR, &[CHANNEL_BUSY]);
    ends.key_says(BROADCAST, INIT, &init_answer(b"foreign!", OTHER));
    ends.no_answer();
    let reply: Vec<u8> = (0..200).collect();
    for frame in frames(CHANNEL, CBOR, &reply) {
        ends.key_says(OTHER, CBOR, &[7; 100]);
        ends.key_sends(&frame);
    }
    assert_eq!(ends.answer(), (CHANNEL, CBOR, reply));
    assert_eq!(ends.signs(), []);
}

#[test]
fn keepalives_switch_the_light_and_end_here() {
    let ends = Ends::asked(SOON);
    ends.key_says(CHANNEL, KEEPALIVE, &[PROCESSING]);
    ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED]);
    ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED]);
    assert_eq!(ends.next_sign(), Sign::Light(true));
    ends.key_says(CHANNEL, KEEPALIVE, &[PROCESSING]);
    assert_eq!(ends.next_sign(), Sign::Light(false));
    ends.key_says(CHANNEL, KEEPALIVE, &[]);
    ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED]);
    ends.no_answer();
    ends.key_says(CHANNEL, CBOR, &[0]);
    assert_eq!(ends.answer(), (CHANNEL, CBOR, vec![0]));
    assert_eq!(ends.signs(), [Sign::Light(true), Sign::Light(false)]);
}

/// The library reads 500 frames at most, and sleeps 100 ms after each keepalive.
#[test]
fn six_hundred_keepalives_cost_nothing() {
    let ends = Ends::asked(SOON);
    let started = Instant::now();
    for _ in 0..600 {
        ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED]);
    }
    ends.key_says(CHANNEL, CBOR, &[0, 1]);
    assert_eq!(ends.answer(), (CHANNEL, CBOR, vec![0, 1]));
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(ends.signs(), [Sign::Light(true), Sign::Light(false)]);
}

#[test]
fn the_longest_answer_that_the_library_takes() {
    let ends = Ends::asked(SOON);
    let reply = vec![0; ANSWER_MAX];
    assert_eq!(frames(CHANNEL, CBOR, &reply).len(), 101);
    ends.key_says(CHANNEL, CBOR, &reply);
    assert_eq!(ends.answer(), (CHANNEL, CBOR, reply));
    ends.works();
}

/// The library would leave 28 of these 129 frames to its next request, which takes one for its answer.
#[test]
fn an_answer_longer_than_that_is_none() {
    let ends = Ends::asked(SOON);
    let reply = frames(CHANNEL, CBOR, &[0; 7609]);
    assert_eq!(reply.len(), 129);
    for frame in reply {
        ends.key_sends(&frame);
    }
    ends.fails_with(Fault::Garbled);
    ends.works_anew();
}

#[test]
fn long_requests_reach_the_key_whole() {
    let ends = Ends::opened();
    let request: Vec<u8> = (0..3000_u32).map(|number| number.to_le_bytes()[0]).collect();
    ends.asks(CHANNEL, CBOR, &request);
    ends.key_gets(CHANNEL, CBOR, &request);
}

#[test]
fn a_frame_out_of_order_is_garbled() {
    let ends = Ends::asked(SOON);
    let reply = frames(CHANNEL, CBOR, &[0; 300]);
    for index in [0, 1, 3] {
        ends.key_sends(&reply[index]);
    }
    ends.fails_with(Fault::Garbled);
    ends.works_anew();
}

#[test]
fn an_answer_without_a_status_is_garbled() {
    let ends = Ends::asked(SOON);
    ends.key_says(CHANNEL, CBOR, &[]);
    ends.fails_with(Fault::Garbled);
    ends.works();
}

#[test]
fn other_errors_are_garbled() {
    for code in [3, 4, 5, 0x0b, 0x7f] {
        let ends = Ends::asked(SOON);
        ends.key_says(CHANNEL, ERROR, &[code]);
        ends.fails_with(Fault::Garbled);
        ends.works();
    }
}

#[test]
fn a_key_that_knows_no_cbor_says_so() {
    let ends = Ends::asked(SOON);
    ends.key_says(CHANNEL, ERROR, &[1]);
    ends.fails_with(Fault::Status(status::INVALID_COMMAND));
    ends.works();
}

#[test]
fn a_silent_key_has_its_time() {
    let ends = Ends::asked(Duration::from_millis(200));
    let started = Instant::now();
    ends.key_gets(CHANNEL, CANCEL, &[]);
    assert!(started.elapsed() >= Duration::from_millis(150));
    ends.fails_with(Fault::Silent);
    assert!(started.elapsed() < Duration::from_millis(1200) + QUIET);
    ends.works_anew();
}

#[test]
fn an_untouched_key_has_its_time() {
    let ends = Ends::asked(Duration::from_millis(200));
    ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED]);
    ends.key_gets(CHANNEL, CANCEL, &[]);
    ends.key_says(CHANNEL, CBOR, &[status::KEEPALIVE_CANCEL]);
    ends.fails_with(Fault::Status(status::USER_ACTION_TIMEOUT));
    assert_eq!(ends.signs(), [Sign::Light(true), Sign::Light(false)]);
    ends.works();
}

#[test]
fn keepalives_for_ever_end_in_time() {
    let ends = Ends::asked(Duration::from_millis(200));
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1250) && read(&ends.library, Duration::ZERO).is_none() {
        ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED]);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(started.elapsed() < Duration::from_millis(1250));
    assert_eq!(ends.relay.fault(), Fault::Status(status::USER_ACTION_TIMEOUT));
}

#[test]
fn cancelling_puts_the_light_out() {
    let ends = Ends::asked(SOON);
    ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED]);
    assert_eq!(ends.next_sign(), Sign::Light(true));
    let first = ends.relay.announce();
    ends.relay.cancel();
    ends.key_gets(CHANNEL, CANCEL, &[]);
    ends.key_says(CHANNEL, KEEPALIVE, &[PROCESSING]);
    ends.key_says(CHANNEL, CBOR, &[status::KEEPALIVE_CANCEL]);
    ends.fails_with(Fault::Cancelled);
    assert_eq!(ends.signs(), [Sign::Light(false)]);
    // The library's next request of the same command is refused; the key hears nothing of it.
    ends.relay.resume(first);
    ends.asks(CHANNEL, CBOR, ASK);
    ends.fails_with(Fault::Cancelled);
    ends.key_gets_nothing();
    ends.relay.resume(ends.relay.announce());
    ends.works();
}

#[test]
fn a_touch_that_is_faster_than_the_cancelling_counts() {
    let ends = Ends::asked(SOON);
    ends.relay.cancel();
    ends.key_gets(CHANNEL, CANCEL, &[]);
    ends.key_says(CHANNEL, CBOR, &[0, 1, 2]);
    assert_eq!(ends.answer(), (CHANNEL, CBOR, vec![0, 1, 2]));
}

#[test]
fn a_key_that_ignores_the_cancelling() {
    let ends = Ends::asked(SOON);
    let started = Instant::now();
    ends.relay.cancel();
    ends.key_gets(CHANNEL, CANCEL, &[]);
    ends.fails_with(Fault::Cancelled);
    assert!(started.elapsed() < CANCEL_WAIT + Duration::from_millis(500));
    ends.relay.resume(ends.relay.announce());
    ends.works_anew();
}

#[test]
fn a_key_that_complains_of_the_cancelling() {
    for code in [1, CHANNEL_BUSY] {
        let ends = Ends::asked(SOON);
        ends.relay.cancel();
        ends.key_gets(CHANNEL, CANCEL, &[]);
        ends.key_says(CHANNEL, ERROR, &[code]);
        ends.fails_with(Fault::Cancelled);
    }
}

#[test]
fn cancelling_what_is_not_under_way_does_nothing() {
    let ends = Ends::opened();
    ends.relay.cancel();
    ends.relay.cancel();
    ends.key_gets_nothing();
    ends.no_answer();
    ends.relay.resume(ends.relay.announce());
    ends.works();
}

#[test]
fn a_command_that_is_cancelled_while_it_waits_is_not_begun() {
    let ends = Ends::opened();
    let command = ends.relay.announce();
    ends.relay.cancel();
    ends.relay.resume(command);
    ends.relay.begin(SOON, None);
    ends.asks(CHANNEL, CBOR, ASK);
    ends.fails_with(Fault::Cancelled);
    ends.key_gets_nothing();
}

#[test]
fn what_is_closed_stays_closed() {
    let ends = Ends::opened();
    ends.relay.close();
    ends.relay.resume(ends.relay.announce());
    ends.relay.begin(SOON, None);
    ends.asks(CHANNEL, CBOR, ASK);
    ends.fails_with(Fault::Cancelled);
    ends.key_gets_nothing();
}

#[test]
fn cancelling_before_there_is_a_channel() {
    let ends = Ends::new();
    ends.asks(BROADCAST, INIT, b"12345678");
    ends.key_gets(BROADCAST, INIT, b"12345678");
    ends.relay.cancel();
    assert_eq!(ends.answer(), (BROADCAST, INIT, vec![0; 17]));
    assert_eq!(ends.relay.fault(), Fault::Cancelled);
    // Its late answer is not the next one's.
    ends.relay.resume(ends.relay.announce());
    ends.asks(BROADCAST, INIT, b"abcdefgh");
    ends.key_says(BROADCAST, INIT, &init_answer(b"12345678", OTHER));
    ends.no_answer();
}

#[test]
fn a_busy_key_is_asked_again() {
    let ends = Ends::asked(SOON);
    for _ in 0..3 {
        let started = Instant::now();
        ends.key_says(CHANNEL, ERROR, &[CHANNEL_BUSY]);
        assert_eq!(ends.next_sign(), Sign::Busy);
        ends.key_gets(CHANNEL, CBOR, ASK);
        assert!(started.elapsed() >= BUSY_WAIT);
    }
    ends.key_says(CHANNEL, CBOR, &[0]);
    assert_eq!(ends.answer(), (CHANNEL, CBOR, vec![0]));
}

#[test]
fn a_busy_key_is_not_waited_for_when_it_is_not_wanted() {
    let ends = Ends::asked(SOON);
    ends.key_says(CHANNEL, ERROR, &[CHANNEL_BUSY]);
    assert_eq!(ends.next_sign(), Sign::Busy);
    ends.relay.cancel();
    // A CANCEL would meet what the other program does.
    ends.fails_with(Fault::Cancelled);
    ends.key_gets_nothing();
}

#[test]
fn a_key_that_stays_busy_has_its_time() {
    let ends = Ends::asked(Duration::from_millis(600));
    let started = Instant::now();
    let answer = loop {
        ends.key_says(CHANNEL, ERROR, &[CHANNEL_BUSY]);
        if let Some(answer) = ends.at_library(Duration::from_millis(200)) {
            break answer;
        }
    };
    assert_eq!(answer, (CHANNEL, CBOR, vec![status::OTHER]));
    assert!(started.elapsed() < Duration::from_millis(1600));
}

type Play = fn(&Ends);

#[test]
fn unplugged() {
    let phases: [(&str, Play); 5] = [
        ("it thinks", |_| {}),
        ("it blinks", |ends| ends.key_says(CHANNEL, KEEPALIVE, &[UP_NEEDED])),
        ("it answers", |ends| ends.key_sends(&frames(CHANNEL, CBOR, &[0; 200])[0])),
        ("it is busy", |ends| {
            ends.key_says(CHANNEL, ERROR, &[CHANNEL_BUSY]);
            ends.next_sign();
        }),
        ("it is cancelled", |ends| {
            ends.relay.cancel();
            ends.key_gets(CHANNEL, CANCEL, &[]);
        }),
    ];
    for (phase, play) in phases {
        let mut ends = Ends::asked(SOON);
        play(&ends);
        let started = Instant::now();
        ends.key = None;
        assert_eq!(ends.answer(), (CHANNEL, CBOR, vec![status::OTHER]), "{phase}");
        assert_eq!(ends.relay.fault(), Fault::Gone, "{phase}");
        assert!(started.elapsed() < Duration::from_millis(200), "{phase}");
    }
}

#[test]
fn unplugged_before_it_was_asked() {
    let mut ends = Ends::opened();
    ends.key = None;
    std::thread::sleep(Duration::from_millis(50));
    ends.asks(CHANNEL, CBOR, ASK);
    ends.fails_with(Fault::Gone);
    let mut ends = Ends::new();
    ends.asks(BROADCAST, INIT, b"12345678");
    ends.key_gets(BROADCAST, INIT, b"12345678");
    ends.key = None;
    assert_eq!(ends.answer(), (BROADCAST, INIT, vec![0; 17]));
    assert_eq!(ends.relay.fault(), Fault::Gone);
}

fn client_pin(members: &[(i128, Value)]) -> Vec<u8> {
    let key = |key: i128| Value::Integer(key.try_into().unwrap());
    let members = members.iter().map(|(number, value)| (key(*number), value.clone())).collect();
    let mut bytes = vec![CLIENT_PIN];
    ciborium::into_writer(&Value::Map(members), &mut bytes).unwrap();
    bytes
}

#[test]
fn pin_tokens_are_good_for_one_purpose() {
    let request = |subcommand: u8| {
        client_pin(&[(1, Value::from(2)), (2, Value::from(subcommand)), (6, Value::Bytes(vec![5; 16]))])
    };
    let permissions = || Some(Permissions { bits: 2, rp_id: "authority.example".to_owned() });
    let narrowed = client_pin(&[
        (1, Value::from(2)),
        (2, Value::from(9)),
        (6, Value::Bytes(vec![5; 16])),
        (9, Value::from(2)),
        (10, Value::from("authority.example")),
    ]);
    let cases = [
        (request(5), permissions(), narrowed),
        (request(5), None, request(5)),
        // Retries, key agreement, set, change, built-in: as they are.
        (request(1), permissions(), request(1)),
        (request(2), permissions(), request(2)),
        (request(3), permissions(), request(3)),
        (request(4), permissions(), request(4)),
        (request(6), permissions(), request(6)),
        (request(7), permissions(), request(7)),
        (vec![0x02, 0xa1, 0x02, 0x05], permissions(), vec![0x02, 0xa1, 0x02, 0x05]),
        (vec![CLIENT_PIN], permissions(), vec![CLIENT_PIN]),
        (vec![CLIENT_PIN, 0xff], permissions(), vec![CLIENT_PIN, 0xff]),
    ];
    for (asked, permissions, heard) in cases {
        let ends = Ends::opened();
        ends.relay.begin(SOON, permissions);
        ends.asks(CHANNEL, CBOR, &asked);
        ends.key_gets(CHANNEL, CBOR, &heard);
    }
}

/// What a key may send: well formed or not, on our channel or on another.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let channel = prop_oneof![4 => Just(CHANNEL), 1 => Just(OTHER), 1 => Just(BROADCAST)];
    let commands = vec![CBOR, KEEPALIVE, ERROR, INIT, CANCEL, 0x83, 0, 1, 2, 0x7f];
    let command = prop_oneof![proptest::sample::select(commands), any::<u8>()];
    let length = prop_oneof![0..70_u16, any::<u16>()];
    let whole = (channel, command, length, proptest::collection::vec(any::<u8>(), FRAME)).prop_map(
        |(channel, command, length, mut frame)| {
            frame[..4].copy_from_slice(&channel);
            frame[4] = command;
            frame[5..7].copy_from_slice(&length.to_be_bytes());
            frame
        },
    );
    prop_oneof![9 => whole, 1 => proptest::collection::vec(any::<u8>(), 1..70)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_key_sends(sent in proptest::collection::vec(any_frame(), 0..40), init in any::<bool>()) {
        let within = Duration::from_millis(30);
        let ends = if init { Ends::new() } else { Ends::opened() };
        let (ours, command) = if init { (BROADCAST, INIT) } else { (CHANNEL, CBOR) };
        for _ in 0..2 {
            ends.relay.begin(within, None);
            ends.asks(ours, command, b"12345678");
            let started = Instant::now();
            for frame in &sent {
                ends.key_sends(frame);
            }
            // `message` fails on anything but a whole message.
            let answer = ends.at_library(SOON);
            prop_assert!(started.elapsed() < within + Duration::from_secs(1));
            let Some((channel, answered, payload)) = answer else { return Err(TestCaseError::fail("no answer")) };
            prop_assert_eq!((channel, answered), (ours, command));
            prop_assert!(!payload.is_empty());
            prop_assert_eq!(read(&ends.library, Duration::from_millis(1)), None);
        }
        // It lives: a key that behaves itself from now on is heard.
        ends.relay.begin(SOON, None);
        ends.asks(BROADCAST, INIT, b"the next");
        while read(ends.key(), SOON).is_some_and(|report| report.get(8..16) != Some(b"the next")) {}
        ends.key_says(BROADCAST, INIT, &init_answer(b"the next", CHANNEL));
        prop_assert_eq!(ends.answer().2, init_answer(b"the next", CHANNEL));
    }
}
