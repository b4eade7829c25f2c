//! What a person is asked where there is no terminal but a desktop: a notification with the same words
//! (Desktop Notifications Specification 1.2). It only says what is approved; it approves nothing and takes no PIN.
//!
//! All of it runs in a thread of its own, since a bus or a desktop may never answer. Who can speak on the session bus runs
//! as this user: they could show a notification of their own, and see ours.

use super::session_bus::is_on_this_machine;
use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use zbus::blocking::Connection;
use zbus::zvariant::Value;

/// How long a desktop may take to show it.
const SHOWN: Duration = Duration::from_secs(2);
/// How long it may take to close it.
const CLOSED: Duration = Duration::from_secs(1);
const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// The specification's `urgency`: stays until it is closed.
const CRITICAL: u8 = 2;

enum Order {
    /// Text in place of the one before.
    Show(String),
    /// Takes it away, and says when that is done.
    Close(Sender<()>),
}

/// A notification that is shown, until it is dropped.
pub struct Notification {
    orders: Sender<Order>,
}

impl Notification {
    /// Shows one where a desktop session is found: its first line is the title. `None` where there is no such session, or
    /// nobody shows notifications in it, or not in time.
    #[must_use]
    pub fn show(text: &str, stands_for: Duration) -> Option<Self> {
        if !desktop_session(|name| std::env::var_os(name)) {
            return None;
        }
        let (orders, received) = channel();
        let (ready, shown) = channel();
        let text = text.to_owned();
        std::thread::spawn(move || serve(&text, stands_for, &ready, &received));
        match shown.recv_timeout(SHOWN) {
            Ok(true) => Some(Self { orders }),
            // One that comes too late is taken away at once: nobody holds the other end of its orders.
            Ok(false) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Other words; nobody waits until they are shown.
    pub fn say(&self, text: &str) {
        let _ = self.orders.send(Order::Show(text.to_owned()));
    }

    /// What takes it away from anywhere, as before a signal ends us.
    pub fn closer(&self) -> impl FnOnce() + Send + use<> {
        let orders = self.orders.clone();
        move || {
            let (done, closed) = channel();
            if orders.send(Order::Close(done)).is_ok() {
                let _ = closed.recv_timeout(CLOSED);
            }
        }
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        self.closer()();
    }
}

/// Whether this is a desktop session whose bus is a socket on this machine.
#[must_use]
pub fn desktop_session(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let has_screen = set("DISPLAY").is_some() || set("WAYLAND_DISPLAY").is_some();
    has_screen && set("DBUS_SESSION_BUS_ADDRESS").is_some_and(|addresses| is_on_this_machine(&addresses))
}

fn serve(text: &str, stands_for: Duration, ready: &Sender<bool>, orders: &Receiver<Order>) {
    let shown = Connection::session().and_then(|bus| notify(&bus, 0, text, stands_for).map(|id| (bus, id)));
    let Ok((bus, mut id)) = shown else {
        let _ = ready.send(false);
        return;
    };
    let _ = ready.send(true);
    loop {
        match orders.recv() {
            Ok(Order::Show(text)) => id = notify(&bus, id, &text, stands_for).unwrap_or(id),
            Ok(Order::Close(done)) => {
                close(&bus, id);
                let _ = done.send(());
                return;
            }
            // Whoever waited for it is gone.
            Err(_) => return close(&bus, id),
        }
    }
}

/// `Notify`: app name, id of the one it replaces, icon, title, body, actions, hints, milliseconds.
fn notify(bus: &Connection, replaces: u32, text: &str, stands_for: Duration) -> zbus::Result<u32> {
    let (title, body) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
    let (title, body) = (title.replace(char::is_control, ""), markup(body));
    let hints = HashMap::from([("urgency", Value::U8(CRITICAL)), ("transient", Value::Bool(true))]);
    let actions: Vec<&str> = Vec::new();
    let milliseconds = i32::try_from(stands_for.as_millis()).unwrap_or(i32::MAX);
    let arguments = ("elevate", replaces, "dialog-password", title, body, actions, hints, milliseconds);
    bus.call_method(Some(NAME), PATH, Some(NAME), "Notify", &arguments)?.body().deserialize()
}

fn close(bus: &Connection, id: u32) {
    let _ = bus.call_method(Some(NAME), PATH, Some(NAME), "CloseNotification", &id);
}

/// A body may be markup: nothing in a text is. Control characters other than the ends of lines are left out.
fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' => out.push('\n'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{desktop_session, markup};

    #[test]
    fn nothing_in_a_text_is_markup() {
        let text = "for <b>5m</b> & more\n  reason \u{1b}[2J<a href='x'>&lt;";
        assert_eq!(markup(text), "for &lt;b&gt;5m&lt;/b&gt; &amp; more\n  reason [2J&lt;a href='x'&gt;&amp;lt;");
    }

    #[test]
    fn a_desktop_session_has_a_screen_and_a_bus_on_this_machine() {
        let session = |variables: &[(&str, &str)]| {
            desktop_session(|name| variables.iter().find(|it| it.0 == name).map(|it| it.1.into()))
        };
        let bus = ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus");
        assert!(session(&[bus, ("DISPLAY", ":0")]));
        assert!(session(&[bus, ("WAYLAND_DISPLAY", "wayland-0")]));
        assert!(!session(&[bus]) && !session(&[("DISPLAY", ":0")]) && !session(&[bus, ("DISPLAY", "")]));
        for elsewhere in ["tcp:host=example.com,port=1", "unix:path=/x;tcp:host=y", "autolaunch:", ""] {
            assert!(!session(&[("DBUS_SESSION_BUS_ADDRESS", elsewhere), ("DISPLAY", ":0")]), "{elsewhere}");
        }
    }
}
