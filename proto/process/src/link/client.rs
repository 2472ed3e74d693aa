//! The link as its client speaks it: the settings of HTTP/2. A session that its client leaves is reset while
//! the agent still sends, and what is under way then must not cost the other sessions of the link.

use std::net::SocketAddr;

use podgate_proto::limits;
use tonic::transport::{Endpoint, Error};

/// What a link to this address is like.
///
/// # Errors
/// When the address makes no URI.
pub fn endpoint(address: SocketAddr) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .max_frame_size(limits::MAX_FRAME)
        .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_concurrent_reset_streams(limits::MAX_STREAMS as usize)
        .http2_reset_stream_duration(limits::LISTEN * limits::SILENT)
        .http2_max_local_error_reset_streams(limits::MAX_STREAMS as usize))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use futures_util::stream;
    use hyper_util::rt::TokioIo;
    use podgate_proto::v1::agent_client::AgentClient;
    use podgate_proto::v1::{AgentMessage, FrontdoorMessage};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::{mpsc, oneshot};
    use tokio::time::timeout;
    use tonic::Streaming;

    use super::*;

    /// Sessions that are left, more than h2 forgives by default.
    const LEFT: usize = 3000;
    /// A session's late bytes come once so many more are left. By default h2 remembers fewer.
    const BEHIND: usize = 100;
    /// The first session. It outlives all others.
    const FIRST: u32 = 1;

    /// Kinds of frames, and a flag of two of them (RFC 9113 §6).
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const ACK: u8 = 1;
    /// Before a client's first frame.
    const PREFACE: usize = 24;
    /// `:status: 200` and `content-type: application/grpc` (RFC 7541).
    const ACCEPTED: &[u8] = b"\x88\x0f\x10\x10application/grpc";
    /// A message of gRPC that is empty.
    const EMPTY: &[u8] = &[0; 5];

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags];
        [&head[..], &stream.to_be_bytes(), payload].concat()
    }

    /// An agent that accepts every session. It sends on for a while after the frontdoor has left, as if
    /// the network were slow. After `LEFT` of these it sends a message in the first session.
    async fn agent(mut link: DuplexStream) -> io::Result<()> {
        let mut preface = [0; PREFACE];
        link.read_exact(&mut preface).await?;
        link.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        let (mut left, mut late) = (0, VecDeque::new());
        loop {
            let mut head = [0; 9];
            link.read_exact(&mut head).await?;
            let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
            link.read_exact(&mut payload).await?;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let answer = match kind {
                SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => frame(PING, ACK, 0, &payload),
                // END_HEADERS
                HEADERS => frame(HEADERS, 4, stream, ACCEPTED),
                RST_STREAM => {
                    left += 1;
                    late.push_back(stream);
                    let mut answer = Vec::new();
                    while late.len() > BEHIND || left == LEFT {
                        let Some(stream) = late.pop_front() else {
                            break;
                        };
                        answer.extend(frame(DATA, 0, stream, EMPTY));
                    }
                    if left == LEFT {
                        answer.extend(frame(DATA, 0, FIRST, EMPTY));
                    }
                    answer
                }
                _ => continue,
            };
            link.write_all(&answer).await?;
        }
    }

    #[tokio::test]
    async fn sessions_that_are_left_disturb_no_other_on_their_link() {
        let (ours, theirs) = duplex(1 << 20);
        let (done, ended) = oneshot::channel();
        let agent = async {
            let _ = done.send(agent(theirs).await);
        };
        let mut ours = Some(TokioIo::new(ours));
        let dial = tower::service_fn(move |_| {
            let link = ours.take().ok_or_else(|| io::Error::other("one link"));
            async move { link }
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let frontdoor = async {
            let endpoint = endpoint(address).unwrap();
            let channel = endpoint.connect_with_connector(dial).await;
            let client = AgentClient::new(channel.unwrap());
            // What it returns is a session, which is left when it is dropped.
            let open = async || -> (mpsc::Sender<FrontdoorMessage>, Streaming<AgentMessage>) {
                let (sender, messages) = mpsc::channel(1);
                let messages = stream::unfold(messages, async |mut messages| {
                    Some((messages.recv().await?, messages))
                });
                let session = client.clone().session(messages).await;
                (sender, session.expect("the link has ended").into_inner())
            };
            let (_sender, mut first) = open().await;
            for _ in 0..LEFT {
                drop(open().await);
            }
            assert!(first.message().await.unwrap().is_some());
        };
        let both = async {
            tokio::select! {
                () = frontdoor => {}
                () = agent => panic!("the link has ended: {:?}", ended.await),
            }
        };
        timeout(Duration::from_secs(60), both)
            .await
            .expect("it hangs");
    }
}
