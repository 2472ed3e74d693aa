//! Lines as the format's page has them, any bytes there and back, and lines that are wrong.

use std::time::Duration;

use bytes::Bytes;

use super::*;

pub(crate) fn about() -> Header {
    let term = Term {
        cols: 80,
        rows: 24,
        kind: Some("xterm".to_owned()),
    };
    let text = |text: &str| text.to_owned();
    let about = About {
        recording: text("20261126T205800Z-0123456789abcdef0123456789abcdef"),
        session: text("0123456789abcdef0123456789abcdef"),
        user: text("ada"),
        groups: vec![text("dev")],
        client: text("192.0.2.1:5000"),
        namespace: text("prod"),
        pod: text("web-0"),
        uid: text("u1"),
        container: text("main"),
        node: text("node-a"),
        frontdoor: String::new(),
        tty: true,
        input: true,
        encrypted: false,
    };
    Header::new(term, 1_800_000_000, Some(text("ls")), about)
}

fn out(bytes: &[u8]) -> Event {
    Event::Output(Stream::Stdout, Bytes::copy_from_slice(bytes))
}

fn encode(events: &[(u64, Event)]) -> String {
    let (mut encoder, mut text) = (Encoder::default(), Vec::new());
    for (ms, event) in events {
        encoder.event(Duration::from_millis(*ms), event, &mut text);
    }
    encoder.flush(Duration::from_millis(9000), &mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn lines_are_those_of_the_formats_page() {
    let check = |events: &[(u64, Event)], expect: &str| assert_eq!(encode(events), expect);
    check(
        &[(248, out(b"a\x1b[1m\"\n"))],
        "[0.248000, \"o\", \"a\\u001b[1m\\\"\\n\"]\n",
    );
    let resize = Event::Resize {
        columns: 100,
        rows: 50,
    };
    check(
        &[
            (1000, resize),
            (1500, Event::Marker("here".into())),
            (1400, Event::Exit(3)),
        ],
        "[1.000000, \"r\", \"100x50\"]\n[0.500000, \"m\", \"here\"]\n[0.000000, \"x\", \"3\"]\n",
    );
    let stderr = Event::Output(Stream::Stderr, "no".into());
    check(
        &[(0, stderr)],
        "[0.000000, \"o\", \"no\"]\n[0.000000, \"e\", \"\"]\n",
    );
    check(
        &[(0, out(b"\xff"))],
        "[0.000000, \"o\", \"\u{fffd}\"]\n[0.000000, \"b\", \"/w==\"]\n",
    );
    // A character in two pieces is one.
    check(
        &[(0, out(b"\xc3")), (5, out(b"\xa9"))],
        "[0.005000, \"o\", \"\u{e9}\"]\n",
    );
    let header = about();
    let mut text = Vec::new();
    Encoder::header(&header, &mut text);
    text.extend(b"rest");
    assert_eq!(super::header(&text).unwrap(), (header, &b"rest"[..]));
}

#[test]
fn any_bytes_survive() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let mut sent: Vec<(u64, Event)> = Vec::new();
        for at in 0..random.u64(1..20) {
            // Many characters of several bytes, cut anywhere, and some that are none.
            let text = "a\u{e9}\u{20ac}\u{1f600}".as_bytes();
            let from = random.usize(..text.len());
            let mut bytes = text[from..random.usize(from..=text.len())].to_vec();
            if random.u8(..4) == 0 {
                bytes.push(random.u8(..));
            }
            let event = match random.u8(..3) {
                0 => Event::Input(bytes.into()),
                1 => Event::Output(Stream::Stderr, bytes.into()),
                _ => out(&bytes),
            };
            sent.push((at, event));
        }
        let mut at = Duration::ZERO;
        let read = events(encode(&sent).as_bytes(), &mut at).unwrap();
        let all = |events: Vec<Event>| {
            let mut streams = [Vec::new(), Vec::new(), Vec::new()];
            for event in events {
                match event {
                    Event::Output(Stream::Stdout, data) => streams[0].extend(data),
                    Event::Output(Stream::Stderr, data) => streams[1].extend(data),
                    Event::Input(data) => streams[2].extend(data),
                    other => panic!("{other:?}"),
                }
            }
            streams
        };
        let sent = sent.into_iter().map(|(_, event)| event).collect();
        assert_eq!(
            all(read.into_iter().map(|(_, event)| event).collect()),
            all(sent)
        );
    }
}

#[test]
fn what_is_no_line_is_an_error() {
    for text in [
        "[",
        "[1, \"o\"]",
        "[-1, \"o\", \"\"]",
        "[0, \"r\", \"9\"]",
        "[0, \"x\", \"\"]",
        "[1e300, \"o\", \"\"]",
    ] {
        assert!(
            events(text.as_bytes(), &mut Duration::default()).is_err(),
            "{text}"
        );
    }
    let unknown = events(
        b"# a remark\n[0.5, \"z\", \"\"]\n",
        &mut Duration::default(),
    );
    assert_eq!(unknown.unwrap(), []);
}
