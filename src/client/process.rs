//! What the kernel says of a process and its session. Read from `/proc` and not asked of `getsid(2)`, which answers 0 for a
//! session that was begun outside of a container: a number that no process has.

/// Of a process (proc(5), `/proc/pid/stat`).
#[derive(Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process that it was started by.
    pub parent: u32,
    /// Its session; 0 where that was begun outside of the container.
    pub session: u32,
    /// Device number; 0 where there is none.
    pub terminal: i32,
    /// Clock ticks since boot.
    pub started: u64,
}

impl Stat {
    /// This process's.
    ///
    /// # Errors
    /// What could not be read.
    pub fn own() -> Result<Self, String> {
        Self::at("/proc/self/stat")
    }

    /// Another's.
    ///
    /// # Errors
    /// As [`Stat::own`].
    pub fn of(process: u32) -> Result<Self, String> {
        Self::at(&format!("/proc/{process}/stat"))
    }

    fn at(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path} can't be read: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("{path} can't be understood"))
    }

    /// The second field is the program's name in parentheses, and may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            terminal: field(7)?.parse().ok()?,
            started: field(22)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let text = "42 (a) 7 (b) S 1 42 41 34816 42 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        assert_eq!(Stat::parse(text), Some(Stat { parent: 1, session: 41, terminal: 34816, started: 98765 }));
        assert_eq!(Stat::parse("42 (sh) S 1"), None);
        assert_eq!(Stat::parse(""), None);
        assert_eq!(Stat::parse("42 (sh"), None);
    }
}
