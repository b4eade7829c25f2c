//! Variables as a shell reads them. Whatever is in a value, the shell takes it as text: nothing in it is expanded or run.

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// Whose assignments are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// sh, dash, bash, zsh, ksh
    Posix,
    /// fish
    Fish,
    /// `PowerShell`
    Powershell,
}

// By hand: values with texts of their own would make `--help` longer than it is useful.
impl ValueEnum for Syntax {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Posix, Self::Fish, Self::Powershell]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Posix => "posix",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
        }))
    }
}

impl Syntax {
    /// A line that sets and exports one variable.
    #[must_use]
    pub fn export(self, name: &str, value: &str) -> String {
        match self {
            Self::Posix => format!("export {name}={}\n", posix(value)),
            Self::Fish => format!("set -gx {name} {}\n", fish(value)),
            Self::Powershell => format!("$env:{name} = {}\n", powershell(value)),
        }
    }
}

/// POSIX 2024, section 2.2.2: in single quotes all but the single quote stands for itself.
fn posix(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// fish's single quotes know two escapes: of themselves and of the backslash.
fn fish(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// In `PowerShell`'s verbatim strings a quote is doubled; the typographic ones are quotes to it as well.
fn powershell(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::Syntax;

    #[test]
    fn powershell_doubles_every_character_it_takes_for_a_single_quote() {
        let line = Syntax::Powershell.export("X", "a'b\u{2018}c\u{2019}d\u{201a}e\u{201b}f`$(g)\"");
        assert_eq!(
            line,
            "$env:X = 'a''b\u{2018}\u{2018}c\u{2019}\u{2019}d\u{201a}\u{201a}e\u{201b}\u{201b}f`$(g)\"'\n"
        );
    }
}
