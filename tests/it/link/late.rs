//! Streams of the link that end while their frontdoor still sends: they cost no other session anything.
//! Here a frontdoor speaks HTTP/2 frame by frame.

use std::time::Duration;

use podgate_proto::v1::frontdoor_message::Message as ToAgent;
use podgate_proto::v1::{EndOfInput, FrontdoorMessage, Open};
use podgate_tests::fixtures::stand::{Changes, Stand};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::peers::{dial, request};

const SOON: Duration = Duration::from_secs(20);
/// Sessions that are left before they are accepted, more than h2 forgives by default.
const LEFT: u32 = 200;

/// Kinds of frames (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// Flags: the last frame of a stream, the last of its headers, and an acknowledgement.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn new(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        let payload = payload.to_vec();
        Self {
            kind,
            flags,
            stream,
            payload,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_be_bytes();
        let head = [length[1], length[2], length[3], self.kind, self.flags];
        [&head[..], &self.stream.to_be_bytes(), &self.payload].concat()
    }
}

/// The head of a call (RFC 7541, without its tables of earlier fields).
fn head(stream: u32) -> Frame {
    let text = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    let block = [
        vec![0x83, 0x86, 0x04],
        text("/podgate.v1.Agent/Session"),
        vec![0x01],
        text("agent"),
        vec![0x0f, 0x10],
        text("application/grpc"),
        vec![0x00],
        text("te"),
        text("trailers"),
    ];
    Frame::new(HEADERS, END_HEADERS, stream, &block.concat())
}

fn say(stream: u32, flags: u8, message: ToAgent) -> Frame {
    let message = Some(message);
    let bytes = FrontdoorMessage { message }.encode_to_vec();
    let length = (bytes.len() as u32).to_be_bytes();
    Frame::new(DATA, flags, stream, &[&[0][..], &length, &bytes].concat())
}

/// A request that is refused at once.
fn refused() -> ToAgent {
    let open = Open {
        action: None,
        ..request()
    };
    ToAgent::Open(open.into())
}

struct Link(TlsStream<TcpStream>);

impl Link {
    async fn connect(stand: &Stand) -> Self {
        let mut this = Self(dial(stand, &stand.pki, &["frontdoor.podgate"]).await);
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        this.0.write_all(preface).await.unwrap();
        this.send([Frame::new(SETTINGS, 0, 0, &[])]).await;
        this
    }

    async fn send(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let all: Vec<_> = frames
            .into_iter()
            .flat_map(|frame| frame.encode())
            .collect();
        self.0.write_all(&all).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next frame that is about a stream, or answers a question.
    async fn next(&mut self) -> Frame {
        loop {
            let mut head = [0; 9];
            self.0
                .read_exact(&mut head)
                .await
                .expect("the link has ended");
            let [_, high, low, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            self.0.read_exact(&mut payload).await.unwrap();
            let frame = Frame::new(kind, flags, u32::from_be_bytes(stream), &payload);
            match (kind, flags & ACK) {
                (SETTINGS, 0) => self.send([Frame::new(SETTINGS, ACK, 0, &[])]).await,
                (PING, 0) => self.send([Frame::new(PING, ACK, 0, &payload)]).await,
                (GOAWAY, _) => panic!("{}", String::from_utf8_lossy(&frame.payload)),
                (DATA | HEADERS | RST_STREAM | PING, _) => return frame,
                _ => {}
            }
        }
    }

    /// Waits for the end of the agent's half of a stream.
    async fn until_over(&mut self, stream: u32) {
        loop {
            let frame = self.next().await;
            assert_ne!(frame.kind, RST_STREAM, "of stream {}", frame.stream);
            if frame.stream == stream && frame.kind == HEADERS && frame.flags & END_STREAM != 0 {
                return;
            }
        }
    }

    /// Waits until the agent has answered all that it has heard.
    async fn until_heard(&mut self) {
        self.send([Frame::new(PING, 0, 0, &[7; 8])]).await;
        loop {
            let frame = self.next().await;
            assert_ne!(frame.kind, RST_STREAM, "of stream {}", frame.stream);
            if frame.kind == PING {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_takes_what_its_frontdoor_still_sends() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let all = async {
        let mut link = Link::connect(&stand).await;
        for stream in (1..20).step_by(2) {
            link.send([head(stream), say(stream, 0, refused())]).await;
            link.until_over(stream).await;
            link.until_heard().await;
            let late = ToAgent::EndOfInput(EndOfInput::default());
            link.send([say(stream, END_STREAM, late)]).await;
            link.until_heard().await;
        }
    };
    timeout(SOON, all).await.expect("it hangs");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_left_before_they_are_accepted_do_not_end_their_link() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let all = async {
        let mut link = Link::connect(&stand).await;
        link.until_heard().await;
        let left = (0..LEFT).flat_map(|number| {
            let stream = 2 * number + 1;
            [head(stream), Frame::new(RST_STREAM, 0, stream, &CANCEL)]
        });
        link.send(left).await;
        let stream = 2 * LEFT + 1;
        link.send([head(stream), say(stream, END_STREAM, refused())])
            .await;
        link.until_over(stream).await;
    };
    timeout(SOON, all).await.expect("it hangs");
}
