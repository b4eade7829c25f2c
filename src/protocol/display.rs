//! Text from others, made safe to show: what a terminal would obey, or a reader would misread, is spelled out.

use std::fmt::Write as _;

/// The text with control characters, bidirectional overrides, zero-width characters and the like as `\u{..}`.
#[must_use]
pub fn escaped(text: &str) -> String {
    // What nearly every text is.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// Unicode general categories Cc, Cf, Co, Zl and Zp, as far as they move, hide or reorder text.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

/// The words of a text on lines of so many columns.
#[must_use]
pub fn wrapped(value: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in value.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(escaped("a\u{1b}[2Jb\r\n\u{9b}1m"), r"a\u{1b}[2Jb\u{d}\u{a}\u{9b}1m");
        assert_eq!(escaped("pay \u{202e}eve"), r"pay \u{202e}eve");
        assert_eq!(escaped("Zoë – 東京"), "Zoë – 東京");
    }
}
