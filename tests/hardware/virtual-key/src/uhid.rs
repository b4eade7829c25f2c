//! The kernel's side: a HID device made through `/dev/uhid`, as Linux' `Documentation/hid/uhid.rst` and
//! `linux/uhid.h` describe it. Reports are of 64 bytes and not numbered (CTAP 2.1 section 11.2.8).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;

pub const REPORT_BYTES: usize = 64;
pub type Report = [u8; REPORT_BYTES];

/// Event types of `linux/uhid.h`.
const DESTROY: u32 = 1;
const START: u32 = 2;
const STOP: u32 = 3;
const OPEN: u32 = 4;
const CLOSE: u32 = 5;
const OUTPUT: u32 = 6;
const CREATE2: u32 = 11;
const INPUT2: u32 = 12;

const BUS_USB: u16 = 3;
const DEVICE_VERSION: u32 = 0x0100;
const NAME_BYTES: usize = 128;
const PHYS_BYTES: usize = 64;
const UNIQ_BYTES: usize = 64;
const DATA_MAX: usize = 4096;
/// The type, and the largest member of the union: the request to create a device.
const EVENT_BYTES: usize = 4 + NAME_BYTES + PHYS_BYTES + UNIQ_BYTES + 2 + 2 + 4 * 4 + DATA_MAX;

/// Usage page 0xf1d0, usage 1 (CTAPHID), one input and one output report of 64 bytes.
const REPORT_DESCRIPTOR: &[u8] = &[
    0x06, 0xd0, 0xf1, // usage page: FIDO alliance
    0x09, 0x01, // usage: CTAPHID authenticator
    0xa1, 0x01, // collection: application
    0x09, 0x20, // usage: input report data
    0x15, 0x00, 0x26, 0xff, 0x00, // logical minimum 0, maximum 255
    0x75, 0x08, 0x95, 0x40, // 8 bits, 64 times
    0x81, 0x02, // input: data, variable, absolute
    0x09, 0x21, // usage: output report data
    0x15, 0x00, 0x26, 0xff, 0x00, // logical minimum 0, maximum 255
    0x75, 0x08, 0x95, 0x40, // 8 bits, 64 times
    0x91, 0x02, // output: data, variable, absolute
    0xc0, // end of collection
];

pub enum Event {
    Output(Report),
    Note(&'static str),
}

pub struct Identity {
    pub name: String,
    pub serial: String,
    pub vendor: u32,
    pub product: u32,
}

pub struct Device {
    file: File,
}

impl Device {
    pub fn create(identity: &Identity) -> io::Result<Self> {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a small flag");
        let mut file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open("/dev/uhid")?;
        let mut event = CREATE2.to_ne_bytes().to_vec();
        event.extend(fixed(&identity.name, NAME_BYTES));
        event.extend(fixed("virtual-key", PHYS_BYTES));
        event.extend(fixed(&identity.serial, UNIQ_BYTES));
        event.extend(u16::try_from(REPORT_DESCRIPTOR.len()).expect("a short descriptor").to_ne_bytes());
        event.extend(BUS_USB.to_ne_bytes());
        for value in [identity.vendor, identity.product, DEVICE_VERSION, 0] {
            event.extend(value.to_ne_bytes());
        }
        event.extend_from_slice(REPORT_DESCRIPTOR);
        event.resize(EVENT_BYTES, 0);
        file.write_all(&event)?;
        Ok(Self { file })
    }

    /// Pulls the key out.
    pub fn destroy(&mut self) {
        let _gone_anyway = self.file.write_all(&DESTROY.to_ne_bytes());
    }

    /// The next event, where there is one.
    pub fn read(&mut self) -> Option<Event> {
        let mut event = [0; EVENT_BYTES];
        let length = self.file.read(&mut event).ok()?;
        if length < 4 {
            return None;
        }
        let (kind, payload) = event.split_first_chunk::<4>()?;
        Some(match u32::from_ne_bytes(*kind) {
            OUTPUT => {
                let size = u16::from_ne_bytes([payload[DATA_MAX], payload[DATA_MAX + 1]]);
                // hidraw puts the report's number, zero, before the report.
                let start = usize::from(usize::from(size) == REPORT_BYTES + 1);
                let mut report = [0; REPORT_BYTES];
                report.copy_from_slice(&payload[start..start + REPORT_BYTES]);
                Event::Output(report)
            }
            START => Event::Note("start"),
            STOP => Event::Note("stop"),
            OPEN => Event::Note("open"),
            CLOSE => Event::Note("close"),
            _ => Event::Note("other"),
        })
    }

    pub fn send(&mut self, report: &Report) {
        let mut event = INPUT2.to_ne_bytes().to_vec();
        event.extend(u16::try_from(REPORT_BYTES).expect("64").to_ne_bytes());
        event.extend_from_slice(report);
        let _nobody_listens = self.file.write_all(&event);
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A zero-terminated string in a field of `length` bytes.
fn fixed(value: &str, length: usize) -> Vec<u8> {
    let mut field = value.as_bytes().to_vec();
    field.truncate(length - 1);
    field.resize(length, 0);
    field
}
