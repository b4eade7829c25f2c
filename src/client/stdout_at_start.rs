//! Whether stdout was open when this program was started. The standard library opens `/dev/null` in place of a closed
//! stream before `main`, and what is written is lost without a word: so it is looked at before that, by a function that
//! the loader calls.
#![allow(unsafe_code, reason = "the section whose functions run before main can be named in no other way")]

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// One system call, and nothing that the standard library would have to be ready for.
extern "C" fn look() {
    CLOSED.store(rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err(), Ordering::Relaxed);
}

/// Whether whoever started us gave us no stdout.
#[must_use]
pub fn was_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
