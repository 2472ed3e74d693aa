//! A SPDY client of hand-built frames, and what its frames say.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::soon::soon;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Reply { id: u32, payload: usize },
    Data { id: u32, fin: bool, bytes: Vec<u8> },
    Reset { id: u32, status: u32 },
    Ping(u32),
    GoAway { last: u32, status: u32 },
}

pub(super) fn data(id: u32, bytes: impl AsRef<[u8]>) -> Frame {
    Frame::Data {
        id,
        fin: false,
        bytes: bytes.as_ref().to_vec(),
    }
}

pub(super) fn fin(id: u32) -> Frame {
    Frame::Data {
        id,
        fin: true,
        bytes: Vec::new(),
    }
}

#[derive(Debug)]
pub(super) struct Spdy {
    pub(super) tls: TlsStream<TcpStream>,
    pub(super) replies: Vec<Frame>,
}

impl Spdy {
    /// Opens error=1, then stdin, stdout, stderr and resize as the flags say, 3, 5, …
    pub(super) async fn open(tls: TlsStream<TcpStream>, flags: &str) -> Self {
        let mut spdy = Self {
            tls,
            replies: Vec::new(),
        };
        let wanted = [
            ("input", "stdin"),
            ("output", "stdout"),
            ("error", "stderr"),
            ("tty", "resize"),
        ];
        let asked = wanted
            .iter()
            .filter(|(flag, _)| flags.contains(&format!("{flag}=1")));
        let kinds: Vec<&str> = ["error"]
            .into_iter()
            .chain(asked.map(|(_, kind)| *kind))
            .collect();
        for (index, kind) in kinds.iter().enumerate() {
            spdy.tls
                .write_all(&syn(2 * index as u32 + 1, kind))
                .await
                .unwrap();
        }
        for _ in kinds {
            let reply = spdy.frame().await.unwrap();
            spdy.replies.push(reply);
        }
        spdy
    }

    pub(super) async fn send(&mut self, id: u32, fin: bool, bytes: &[u8]) {
        let head = u32::from(fin) << 24 | bytes.len() as u32;
        self.tls
            .write_all(&[&be(id)[..], &be(head), bytes].concat())
            .await
            .unwrap();
    }

    /// The next frame; none at the end of the connection.
    pub(super) async fn frame(&mut self) -> std::io::Result<Frame> {
        soon(async {
            let (first, second) = (self.tls.read_u32().await?, self.tls.read_u32().await?);
            let mut payload = vec![0; (second & 0xff_ffff) as usize];
            self.tls.read_exact(&mut payload).await?;
            if first < 0x8000_0000 {
                return Ok(Frame::Data {
                    id: first,
                    fin: second >> 24 == 1,
                    bytes: payload,
                });
            }
            let field = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            Ok(match first {
                0x8003_0002 => Frame::Reply {
                    id: field(0),
                    payload: payload.len(),
                },
                0x8003_0003 => Frame::Reset {
                    id: field(0),
                    status: field(4),
                },
                0x8003_0006 => Frame::Ping(field(0)),
                0x8003_0007 => Frame::GoAway {
                    last: field(0),
                    status: field(4),
                },
                other => panic!("control frame {other:08x}"),
            })
        })
        .await
    }

    /// All frames to a clean end.
    pub(super) async fn rest(mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            match self.frame().await {
                Ok(frame) => frames.push(frame),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
                    return frames;
                }
            }
        }
    }

    /// What came on a stream, to where it is enough.
    pub(super) async fn until(&mut self, id: u32, enough: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        while !enough(&text) {
            if let Frame::Data { id: of, bytes, .. } = self.frame().await.unwrap()
                && of == id
            {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        text
    }
}

/// The same, with resets that follow each other in the order of their streams: a real server ends
/// several streams in any order.
pub(super) fn ordered(mut frames: Vec<Frame>) -> Vec<Frame> {
    let reset = |frame: &Frame| matches!(frame, Frame::Reset { .. });
    for run in frames.chunk_by_mut(|a, b| reset(a) && reset(b)) {
        run.sort_by_key(|frame| match frame {
            Frame::Reset { id, .. } => *id,
            _ => 0,
        });
    }
    frames
}

pub(super) fn be(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// SYN_STREAM; stream 1 comes first and so begins the zlib stream.
pub(super) fn syn(id: u32, kind: &str) -> Vec<u8> {
    let zlib: &[u8] = if id == 1 { &[0x78, 0x01] } else { &[] };
    let payload = [&be(id)[..], &be(0), &[0, 0], zlib, &block(kind)].concat();
    [&[0x80, 3, 0, 1][..], &be(payload.len() as u32), &payload].concat()
}

/// `streamtype: <kind>` in a stored deflate block, and the empty one that flushes.
pub(super) fn block(kind: &str) -> Vec<u8> {
    let pairs = [
        &be(1)[..],
        &be(10),
        b"streamtype",
        &be(kind.len() as u32),
        kind.as_bytes(),
    ]
    .concat();
    let length = pairs.len() as u16;
    [
        &[0][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        &pairs,
        &[0, 0, 0, 0xff, 0xff],
    ]
    .concat()
}

pub(super) fn status(frames: &[Frame]) -> serde_json::Value {
    let mut statuses = frames.iter().filter_map(|frame| match frame {
        Frame::Data { id: 1, bytes, .. } => Some(serde_json::from_slice(bytes).unwrap()),
        _ => None,
    });
    let status = statuses.next().expect("a status");
    assert_eq!(statuses.next(), None);
    status
}

pub(super) fn output(frames: &[Frame], stream: u32) -> String {
    let bytes = frames.iter().filter_map(|frame| match frame {
        Frame::Data { id, bytes, .. } if *id == stream => Some(bytes.as_slice()),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
}

pub(super) fn exit_code(status: &serde_json::Value) -> &str {
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"][0]["reason"], "ExitCode");
    status["details"]["causes"][0]["message"].as_str().unwrap()
}
