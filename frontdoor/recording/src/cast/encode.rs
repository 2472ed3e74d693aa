//! Events to lines. A character whose bytes come in two events is held back until it is whole, so that
//! only what is really no UTF-8 needs base64.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::event::{Event, Stream};
use super::first_line::Header;

/// What data is of: its event's code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Output(Stream),
    Input,
}

/// Writes a recording's lines.
#[derive(Default)]
pub struct Encoder {
    /// The time of the last line. Intervals count from it, so that rounding adds up to nothing.
    last: Duration,
    /// The beginning of a character, of which the rest is awaited: three bytes at most.
    begun: Option<(Kind, Vec<u8>)>,
}

impl Encoder {
    /// Writes the first line.
    pub fn header(header: &Header, to: &mut Vec<u8>) {
        if let Ok(line) = serde_json::to_vec(header) {
            to.extend(line);
            to.push(b'\n');
        }
    }

    /// Writes an event. `at` is the time since the session's start; a time before the last one counts as
    /// the last one.
    pub fn event(&mut self, at: Duration, event: &Event, to: &mut Vec<u8>) {
        match event {
            Event::Output(stream, data) => self.data(at, Kind::Output(*stream), data, to),
            Event::Input(data) => self.data(at, Kind::Input, data, to),
            Event::Resize { columns, rows } => {
                self.line(at, "r", &format!("{columns}x{rows}"), to);
            }
            Event::Marker(text) => self.line(at, "m", text, to),
            Event::Exit(status) => {
                self.flush(at, to);
                self.line(at, "x", &status.to_string(), to);
            }
        }
    }

    /// Writes the beginning of a character of which no more comes.
    pub fn flush(&mut self, at: Duration, to: &mut Vec<u8>) {
        if let Some((kind, bytes)) = self.begun.take() {
            self.lines(at, kind, &bytes, to);
        }
    }

    fn data(&mut self, at: Duration, kind: Kind, data: &[u8], to: &mut Vec<u8>) {
        let joined = match self.begun.take() {
            Some((same, mut bytes)) if same == kind => {
                bytes.extend(data);
                Some(bytes)
            }
            Some((other, bytes)) => {
                self.lines(at, other, &bytes, to);
                None
            }
            None => None,
        };
        let data = joined.as_deref().unwrap_or(data);
        let (whole, begun) = data.split_at(data.len() - begun(data));
        if !begun.is_empty() {
            self.begun = Some((kind, begun.to_vec()));
        }
        if !whole.is_empty() {
            self.lines(at, kind, whole, to);
        }
    }

    fn lines(&mut self, at: Duration, kind: Kind, bytes: &[u8], to: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(bytes);
        let (code, stderr) = match kind {
            Kind::Output(stream) => ("o", stream == Stream::Stderr),
            Kind::Input => ("i", false),
        };
        self.line(at, code, &text, to);
        if stderr {
            self.line(at, "e", "", to);
        }
        if std::str::from_utf8(bytes).is_err() {
            self.line(at, "b", &BASE64_STANDARD.encode(bytes), to);
        }
    }

    fn line(&mut self, at: Duration, code: &str, data: &str, to: &mut Vec<u8>) {
        let at = Duration::from_micros(u64::try_from(at.as_micros()).unwrap_or(u64::MAX));
        let interval = at.saturating_sub(self.last);
        self.last = self.last.max(at);
        let (seconds, micros) = (interval.as_secs(), interval.subsec_micros());
        to.extend(format!("[{seconds}.{micros:06}, \"{code}\", ").bytes());
        // Text into memory does not fail.
        let _ = serde_json::to_writer(&mut *to, data);
        to.extend(b"]\n");
    }
}

/// The length of a character's beginning at the end of these bytes.
fn begun(data: &[u8]) -> usize {
    let last = data.utf8_chunks().last();
    let invalid = last.map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(invalid) {
        Err(error) if error.error_len().is_none() => invalid.len(),
        _ => 0,
    }
}
