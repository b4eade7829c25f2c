//! What a terminal of 80 columns shows: enough of ECMA-48 for prompts that are rewritten and erased. Nothing scrolls
//! away, so the last state is all that was left to read.

pub const COLUMNS: usize = 80;
const ESCAPE: char = '\u{1b}';

#[derive(Default)]
enum Sequence {
    #[default]
    None,
    /// ESC was seen.
    Escape,
    /// CSI and its parameters.
    Control(String),
    /// An operating system command: up to BEL or ST.
    Command,
}

#[derive(Default)]
pub struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    sequence: Sequence,
    /// Bytes of a character whose end has not come.
    undecoded: Vec<u8>,
    /// Everything printed, in order, whatever became of it on the screen.
    transcript: String,
}

impl Screen {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.undecoded.extend_from_slice(bytes);
        let complete = match std::str::from_utf8(&self.undecoded) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => self.undecoded.len(),
        };
        let decoded: Vec<u8> = self.undecoded.drain(..complete).collect();
        for character in String::from_utf8_lossy(&decoded).chars() {
            self.character(character);
        }
    }

    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// The rows without the blanks at their ends, and without empty ones at the end of all.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    fn character(&mut self, character: char) {
        match std::mem::take(&mut self.sequence) {
            Sequence::None => self.plain(character),
            Sequence::Escape => match character {
                '[' => self.sequence = Sequence::Control(String::new()),
                ']' => self.sequence = Sequence::Command,
                _ => {}
            },
            Sequence::Control(mut parameters) => {
                if ('\u{40}'..='\u{7e}').contains(&character) {
                    self.control(&parameters, character);
                } else {
                    parameters.push(character);
                    self.sequence = Sequence::Control(parameters);
                }
            }
            Sequence::Command => match character {
                '\u{7}' => {}
                ESCAPE => self.sequence = Sequence::Escape,
                _ => self.sequence = Sequence::Command,
            },
        }
    }

    fn plain(&mut self, character: char) {
        match character {
            ESCAPE => self.sequence = Sequence::Escape,
            '\n' => {
                self.row += 1;
                self.transcript.push('\n');
            }
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.saturating_sub(1),
            '\t' => self.column = (self.column / 8 + 1) * 8,
            _ if character.is_control() => {}
            _ => {
                if self.column >= COLUMNS {
                    self.column = 0;
                    self.row += 1;
                }
                self.put(character);
                self.column += 1;
                self.transcript.push(character);
            }
        }
    }

    fn put(&mut self, character: char) {
        let (row, column) = (self.row, self.column);
        self.row_mut(row);
        let row = &mut self.rows[row];
        if row.len() <= column {
            row.resize(column + 1, ' ');
        }
        row[column] = character;
    }

    fn row_mut(&mut self, row: usize) -> &mut Vec<char> {
        if self.rows.len() <= row {
            self.rows.resize(row + 1, Vec::new());
        }
        &mut self.rows[row]
    }

    fn control(&mut self, parameters: &str, function: char) {
        let first = parameters.split(';').next().and_then(|parameter| parameter.parse::<usize>().ok());
        let distance = first.unwrap_or(1).max(1);
        match function {
            'A' | 'F' => {
                self.row = self.row.saturating_sub(distance);
                if function == 'F' {
                    self.column = 0;
                }
            }
            'B' | 'E' => {
                self.row += distance;
                if function == 'E' {
                    self.column = 0;
                }
            }
            'C' => self.column += distance,
            'D' => self.column = self.column.saturating_sub(distance),
            'G' => self.column = distance - 1,
            'K' => self.erase_in_line(first.unwrap_or(0)),
            'J' if first.unwrap_or(0) == 0 => {
                self.erase_in_line(0);
                self.rows.truncate(self.row + 1);
            }
            _ => {}
        }
    }

    fn erase_in_line(&mut self, what: usize) {
        let (row, column) = (self.row, self.column);
        let row = self.row_mut(row);
        match what {
            0 => row.truncate(column),
            1 => row.iter_mut().take(column + 1).for_each(|cell| *cell = ' '),
            _ => row.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(printed: &str) -> Vec<String> {
        let mut screen = Screen::default();
        screen.feed(printed.as_bytes());
        screen.lines()
    }

    #[test]
    fn a_prompt_that_is_erased_is_gone() {
        assert_eq!(shown("touch it\r\u{1b}[Kdone\r\n"), ["done"]);
        assert_eq!(shown("one\r\ntwo\r\n\u{1b}[2A\u{1b}[Jthree\r\n"), ["three"]);
        assert_eq!(shown("\u{1b}[1mbold\u{1b}[0m"), ["bold"]);
    }

    #[test]
    fn a_long_line_goes_on_in_the_next_row() {
        assert_eq!(shown(&"x".repeat(81)), ["x".repeat(80), "x".to_owned()]);
    }
}
