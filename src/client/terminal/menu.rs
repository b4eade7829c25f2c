//! One of several lines, chosen with the arrow keys or by typing a part of it, on a terminal that can be drawn on.

use super::{Tty, is_dumb, shows_color};
use crate::client::error::Error;
use crate::client::signals;
use dialoguer::FuzzySelect;
use dialoguer::console::{Term, set_colors_enabled_stderr, truncate_str};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions};
use std::io::Write as _;
use std::sync::mpsc::channel;
use std::time::Duration;

/// What the menu draws beside each line: the mark of the one that is chosen, and a column at the end that stays free.
const BESIDE: usize = 3;

/// What can be chosen: the name is always shown in full, so that no two lines are the same.
pub struct Line {
    /// What is chosen.
    pub name: String,
    /// What it is, escaped; cut where the terminal ends.
    pub description: String,
}

impl Tty {
    /// Whether a menu can be drawn here, and its keys read: they are read from stdin where that is a terminal, so it must
    /// be this one.
    #[must_use]
    pub fn draws_menus(&self) -> bool {
        let stdin = std::io::stdin();
        !is_dumb() && (!super::stdin_is_terminal() || rustix::termios::tcgetpgrp(stdin).is_ok())
    }

    /// The number of the line that is chosen; `None` for Escape, or where nothing is chosen within `limit`. The menu is
    /// gone then. What was typed before it is drawn does not count.
    ///
    /// # Errors
    /// Where the terminal went away.
    pub fn choose(&mut self, prompt: &str, lines: &[Line], limit: Duration) -> Result<Option<usize>, Error> {
        let gone = |error: &dyn std::fmt::Display| Error::failed(format!("the terminal can't be read: {error}"));
        let before = rustix::termios::tcgetattr(&self.file).map_err(|error| gone(&error))?;
        let mut silent = before.clone();
        // Each key is read in raw mode; between two keys nothing is echoed either.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        let (read, write) = (self.file.try_clone(), self.file.try_clone());
        let term = Term::read_write_pair(read.map_err(|error| gone(&error))?, write.map_err(|error| gone(&error))?);
        // The menu asks for the colours of stderr, and is drawn on this.
        set_colors_enabled_stderr(shows_color(&self.file));
        let (prompt, items) = (prompt.to_owned(), drawn(lines, usize::from(self.columns())));
        rustix::termios::tcsetattr(&self.file, OptionalActions::Flush, &silent).map_err(|error| gone(&error))?;
        let (sender, answer) = channel();
        // In a thread of its own, because it knows no limit, and takes any signal that interrupts it for Ctrl-C.
        std::thread::spawn(move || {
            signals::keep_from_this_thread();
            let menu = FuzzySelect::new().with_prompt(prompt).items(items).default(0).report(false);
            let _ = sender.send(menu.interact_on_opt(&term));
        });
        let answer = answer.recv_timeout(limit);
        let _ = rustix::termios::tcsetattr(&self.file, OptionalActions::Now, &before);
        let _ = self.file.write_all(super::SHOW_CURSOR.as_bytes());
        match answer {
            Ok(Ok(chosen)) => Ok(chosen),
            Ok(Err(dialoguer::Error::IO(error))) if error.kind() == std::io::ErrorKind::Interrupted => {
                // Ctrl-C was read as a character: it leads to what it leads to everywhere.
                let _ = kill_process(getpid(), Signal::INT);
                std::thread::park_timeout(Duration::from_secs(1));
                Ok(None)
            }
            Ok(Err(dialoguer::Error::IO(error))) => Err(gone(&error)),
            Err(_) => Ok(None),
        }
    }
}

/// A line each, no longer than the terminal is wide: neither in columns nor in bytes, which the menu counts when it
/// clears what it has drawn.
fn drawn(lines: &[Line], columns: usize) -> Vec<String> {
    let room = columns.saturating_sub(BESIDE);
    let widest = lines.iter().map(|line| line.name.len()).max().unwrap_or_default();
    let drawn = |line: &Line| {
        let full = format!("{:widest$}  {}", line.name, line.description);
        let mut end = truncate_str(&full, room, "").len().min(room);
        while !full.is_char_boundary(end) {
            end -= 1;
        }
        full[..end.max(line.name.len())].trim_end().to_owned()
    };
    lines.iter().map(drawn).collect()
}

#[cfg(test)]
mod tests {
    use super::{Line, drawn};

    #[test]
    fn lines_are_cut_at_the_terminals_width_but_never_a_name() {
        let line = |name: &str, description: &str| Line { name: name.to_owned(), description: description.to_owned() };
        let lines = [line("prod-database-1", "the first"), line("prod-database-2", "東京タワー"), line("wiki", "")];
        let shown = |columns| drawn(&lines, columns).join("|");
        assert_eq!(shown(80), "prod-database-1  the first|prod-database-2  東京タワー|wiki");
        assert_eq!(shown(26), "prod-database-1  the fi|prod-database-2  東京|wiki");
        for columns in [0, 1, 5, 20] {
            assert_eq!(shown(columns), "prod-database-1|prod-database-2|wiki");
        }
    }
}
