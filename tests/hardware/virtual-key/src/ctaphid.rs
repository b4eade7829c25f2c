//! CTAPHID framing, CTAP 2.1 section 11.2: messages to reports of 64 bytes and back, each on a channel.

use crate::uhid::{REPORT_BYTES, Report};
use std::time::{Duration, Instant};

pub type Channel = u32;

pub const BROADCAST: Channel = 0xffff_ffff;

/// Commands, section 11.2.9, with the bit that marks an initialization packet.
pub const PING: u8 = 0x81;
pub const MSG: u8 = 0x83;
pub const INIT: u8 = 0x86;
pub const WINK: u8 = 0x88;
pub const CBOR: u8 = 0x90;
pub const CANCEL: u8 = 0x91;
pub const KEEPALIVE: u8 = 0xbb;
pub const ERROR: u8 = 0xbf;

/// Status of KEEPALIVE, section 11.2.9.1.7: a touch is waited for.
pub const UP_NEEDED: u8 = 2;

/// Codes of ERROR, section 11.2.9.1.6.
pub const INVALID_COMMAND: u8 = 0x01;
pub const INVALID_SEQUENCE: u8 = 0x04;
pub const MESSAGE_TIMEOUT: u8 = 0x05;
pub const CHANNEL_BUSY: u8 = 0x06;
pub const INVALID_CHANNEL: u8 = 0x0b;

/// Capabilities in the answer to INIT, section 11.2.9.1.3.
pub const CAPABILITY_WINK: u8 = 0x01;
pub const CAPABILITY_CBOR: u8 = 0x04;
pub const CAPABILITY_NMSG: u8 = 0x08;
pub const PROTOCOL_VERSION: u8 = 2;

const IS_INITIALIZATION: u8 = 0x80;
const INITIALIZATION_BYTES: usize = REPORT_BYTES - 7;
const CONTINUATION_BYTES: usize = REPORT_BYTES - 5;
/// The largest message: one initialization packet and 128 continuation packets.
pub const MESSAGE_BYTES: usize = INITIALIZATION_BYTES + 128 * CONTINUATION_BYTES;
/// After so long a message that has no end is given up.
const CONTINUATION_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub channel: Channel,
    pub command: u8,
    pub payload: Vec<u8>,
}

/// Splits a message into reports.
pub fn reports(channel: Channel, command: u8, payload: &[u8]) -> Vec<Report> {
    let first = payload.len().min(INITIALIZATION_BYTES);
    let mut report = [0; REPORT_BYTES];
    report[..4].copy_from_slice(&channel.to_be_bytes());
    report[4] = command;
    report[5..7].copy_from_slice(&u16::try_from(payload.len()).expect("below 64 KiB").to_be_bytes());
    report[7..7 + first].copy_from_slice(&payload[..first]);
    let mut reports = vec![report];
    for (sequence, chunk) in payload[first..].chunks(CONTINUATION_BYTES).enumerate() {
        let mut report = [0; REPORT_BYTES];
        report[..4].copy_from_slice(&channel.to_be_bytes());
        report[4] = u8::try_from(sequence).expect("at most 128 continuation packets");
        report[5..5 + chunk.len()].copy_from_slice(chunk);
        reports.push(report);
    }
    reports
}

pub enum Assembled {
    Nothing,
    Complete(Message),
    /// What the one who sent this report is told with ERROR.
    Refused(Channel, u8),
}

struct Partial {
    message: Message,
    length: usize,
    sequence: u8,
    since: Instant,
}

/// Puts reports together to messages. One message is under way at a time: section 11.2.5.1.
#[derive(Default)]
pub struct Assembler {
    partial: Option<Partial>,
}

impl Assembler {
    pub fn push(&mut self, report: &Report, now: Instant) -> Assembled {
        let channel = Channel::from_be_bytes([report[0], report[1], report[2], report[3]]);
        if report[4] & IS_INITIALIZATION == 0 {
            return self.continuation(channel, report);
        }
        if let Some(partial) = &self.partial {
            if partial.message.channel != channel && now - partial.since < CONTINUATION_TIMEOUT && report[4] != INIT {
                return Assembled::Refused(channel, CHANNEL_BUSY);
            }
            if partial.message.channel == channel && report[4] != INIT {
                self.partial = None;
                return Assembled::Refused(channel, INVALID_SEQUENCE);
            }
        }
        let length = usize::from(u16::from_be_bytes([report[5], report[6]]));
        let here = length.min(INITIALIZATION_BYTES);
        let message = Message { channel, command: report[4], payload: report[7..7 + here].to_vec() };
        if length == here {
            if self.partial.as_ref().is_some_and(|partial| partial.message.channel == channel) {
                self.partial = None;
            }
            return Assembled::Complete(message);
        }
        self.partial = Some(Partial { message, length, sequence: 0, since: now });
        Assembled::Nothing
    }

    fn continuation(&mut self, channel: Channel, report: &Report) -> Assembled {
        // One that continues nothing is ignored, section 11.2.4.
        let Some(mut partial) = self.partial.take_if(|partial| partial.message.channel == channel) else {
            return Assembled::Nothing;
        };
        if partial.sequence != report[4] {
            return Assembled::Refused(channel, INVALID_SEQUENCE);
        }
        partial.sequence += 1;
        partial.message.payload.extend_from_slice(&report[5..]);
        if partial.message.payload.len() < partial.length {
            self.partial = Some(partial);
            return Assembled::Nothing;
        }
        partial.message.payload.truncate(partial.length);
        Assembled::Complete(partial.message)
    }

    /// The channel whose message has been without its end for too long.
    pub fn timed_out(&mut self, now: Instant) -> Option<Channel> {
        self.partial
            .take_if(|partial| now - partial.since >= CONTINUATION_TIMEOUT)
            .map(|partial| partial.message.channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_split_in_reports_comes_together_again() {
        for length in [0, 1, 57, 58, 116, 117, 1024, MESSAGE_BYTES] {
            let payload: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect();
            let mut assembler = Assembler::default();
            let mut whole = None;
            for report in reports(7, CBOR, &payload) {
                match assembler.push(&report, Instant::now()) {
                    Assembled::Nothing => {}
                    Assembled::Complete(message) => whole = Some(message),
                    Assembled::Refused(..) => panic!("refused at {length}"),
                }
            }
            assert_eq!(whole, Some(Message { channel: 7, command: CBOR, payload }));
        }
    }

    #[test]
    fn a_packet_out_of_sequence_ends_the_message() {
        let mut assembler = Assembler::default();
        let reports = reports(7, CBOR, &[0; 200]);
        assembler.push(&reports[0], Instant::now());
        assert!(matches!(assembler.push(&reports[2], Instant::now()), Assembled::Refused(7, INVALID_SEQUENCE)));
        assert!(matches!(assembler.push(&reports[1], Instant::now()), Assembled::Nothing));
    }
}
