//! Pure: a recording's events as a browser's player takes them. Everything is written anew, so that what
//! reaches the player is its own format, whatever the recorded program wrote: text in JSON, sizes that a
//! page can hold, and nothing else.

use std::time::Duration;

use podgate_recording::cast::{Event, Header};
use serde_json::{Value, json};

/// The largest terminal that is shown. A client can claim any size.
const COLUMNS: u32 = 1000;
const ROWS: u32 = 500;

/// One recording on its way to a player.
#[derive(Debug)]
pub(super) struct View {
    /// Whether the session had a terminal. If not, its lines end without a carriage return.
    tty: bool,
    columns: u32,
    rows: u32,
    /// The size at the beginning.
    first: (u32, u32),
}

/// What a player is told at some time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Text(String),
    Size(u32, u32),
    Marker(String),
}

impl View {
    pub(super) fn new(header: &Header) -> Self {
        let (columns, rows) = bounded(header.term.cols, header.term.rows);
        Self {
            tty: header.podgate.tty,
            columns,
            rows,
            first: (columns, rows),
        }
    }

    /// The terminal's size now.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.columns, self.rows)
    }

    /// What an event shows, if it shows anything. What was typed is not shown: what the terminal echoed is.
    pub(super) fn show(&mut self, event: Event) -> Option<Shown> {
        match event {
            Event::Output(_, data) => {
                let text = String::from_utf8_lossy(&data);
                Some(Shown::Text(match self.tty {
                    true => text.into_owned(),
                    false => text.replace("\r\n", "\n").replace('\n', "\r\n"),
                }))
            }
            Event::Resize { columns, rows } => {
                (self.columns, self.rows) = bounded(columns, rows);
                Some(Shown::Size(self.columns, self.rows))
            }
            Event::Marker(text) => Some(Shown::Marker(text)),
            Event::Input(_) | Event::Exit(_) => None,
        }
    }
}

/// The first line of a recording for a player: asciicast v3.
pub(super) fn first_line(view: &View) -> Value {
    let (columns, rows) = view.first;
    json!({"version": 3, "term": {"cols": columns, "rows": rows}})
}

/// Another line, which comes so long after the one before.
pub(super) fn line(after: Duration, shown: &Shown) -> Value {
    let (code, data) = match shown {
        Shown::Text(text) => ("o", text.clone()),
        Shown::Size(columns, rows) => ("r", format!("{columns}x{rows}")),
        Shown::Marker(text) => ("m", text.clone()),
    };
    json!([after.as_secs_f64(), code, data])
}

fn bounded(columns: u32, rows: u32) -> (u32, u32) {
    (columns.clamp(1, COLUMNS), rows.clamp(1, ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use podgate_recording::cast::{About, Stream, Term};

    fn view(tty: bool) -> View {
        let term = Term {
            cols: u32::MAX,
            rows: 0,
            kind: None,
        };
        let text = String::new;
        let about = About {
            recording: text(),
            session: text(),
            user: text(),
            groups: vec![],
            client: text(),
            namespace: text(),
            pod: text(),
            uid: text(),
            container: text(),
            node: text(),
            frontdoor: text(),
            tty,
            input: true,
            encrypted: false,
        };
        View::new(&Header::new(term, 0, None, about))
    }

    #[test]
    fn what_a_program_wrote_is_text_in_json() {
        let mut view = view(true);
        assert_eq!(view.size(), (1000, 1));
        let hostile = b"\x1b]8;;javascript:alert(1)\x07x</script>\xff\"\r\n\0";
        let event = Event::Output(Stream::Stdout, hostile.to_vec().into());
        let shown = view.show(event).unwrap();
        let text = line(Duration::from_millis(1500), &shown).to_string();
        assert_eq!(text.lines().count(), 1);
        assert!(text.bytes().all(|byte| byte >= b' '), "{text}");
        let back: (f64, String, String) = serde_json::from_str(&text).unwrap();
        assert_eq!((back.0, back.1.as_str()), (1.5, "o"));
        assert_eq!(back.2, String::from_utf8_lossy(hostile));
        assert_eq!(view.show(Event::Input("secret".into())), None);
        let resize = Event::Resize {
            columns: 0,
            rows: u32::MAX,
        };
        assert_eq!(view.show(resize), Some(Shown::Size(1, 500)));
    }

    #[test]
    fn lines_without_a_terminal_begin_at_the_left() {
        let check = |tty: bool, text: &'static str, expect: &str| {
            let event = Event::Output(Stream::Stderr, text.into());
            let shown = view(tty).show(event);
            assert_eq!(shown, Some(Shown::Text(expect.to_owned())), "{text:?}");
        };
        check(false, "a\nb\r\n", "a\r\nb\r\n");
        check(true, "a\nb\r\n", "a\nb\r\n");
    }
}
