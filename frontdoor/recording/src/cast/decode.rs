//! Lines to events. A recording is read from a store that others can write, so any line may be wrong.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::event::{Event, Stream};
use super::first_line::{Header, VERSION};

/// A line is not of a recording.
#[derive(Debug, thiserror::Error)]
#[error("not an asciicast v3 of Podgate: {0}")]
pub struct Error(String);

/// Reads the first line, and returns what follows it.
pub fn header(text: &[u8]) -> Result<(Header, &[u8]), Error> {
    let (line, rest) = match text.iter().position(|byte| *byte == b'\n') {
        Some(at) => text.split_at(at + 1),
        None => return Err(Error("it has no line".to_owned())),
    };
    let header: Header = serde_json::from_slice(line).map_err(|error| Error(error.to_string()))?;
    match header.version {
        VERSION => Ok((header, rest)),
        other => Err(Error(format!("version {other}"))),
    }
}

/// Reads lines after the header. `at` is the time of the line before them, and becomes that of the last.
pub fn events(text: &[u8], at: &mut Duration) -> Result<Vec<(Duration, Event)>, Error> {
    let mut events: Vec<(Duration, Event)> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (interval, code, data): (f64, String, String) =
            serde_json::from_slice(line).map_err(|error| Error(error.to_string()))?;
        let interval = Duration::try_from_secs_f64(interval);
        let interval = interval.map_err(|error| Error(error.to_string()))?;
        // Seconds as a float are exact enough to be rounded to the microseconds that were written.
        let micros = (interval.as_nanos() + 500) / 1000;
        let interval = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        *at = at.saturating_add(interval);
        if let Some(event) = event(&code, data, &mut events)? {
            events.push((*at, event));
        }
    }
    Ok(events)
}

/// One line's event; `None` if it is about the one before, or of a code that we do not know.
fn event(
    code: &str,
    data: String,
    before: &mut [(Duration, Event)],
) -> Result<Option<Event>, Error> {
    Ok(Some(match code {
        "o" => Event::Output(Stream::Stdout, data.into()),
        "i" => Event::Input(data.into()),
        "m" => Event::Marker(data),
        "r" => {
            let (columns, rows) = data.split_once('x').unwrap_or_default();
            match (columns.parse(), rows.parse()) {
                (Ok(columns), Ok(rows)) => Event::Resize { columns, rows },
                _ => return Err(Error(format!("a size of {data:?}"))),
            }
        }
        "x" => match data.parse() {
            Ok(status) => Event::Exit(status),
            Err(_) => return Err(Error(format!("an exit status of {data:?}"))),
        },
        "e" => {
            if let Some((_, Event::Output(stream, _))) = before.last_mut() {
                *stream = Stream::Stderr;
            }
            return Ok(None);
        }
        "b" => {
            let bytes = BASE64_STANDARD.decode(data);
            let bytes = Bytes::from(bytes.map_err(|error| Error(error.to_string()))?);
            if let Some((_, Event::Output(_, data) | Event::Input(data))) = before.last_mut() {
                *data = bytes;
            }
            return Ok(None);
        }
        _ => return Ok(None),
    }))
}
