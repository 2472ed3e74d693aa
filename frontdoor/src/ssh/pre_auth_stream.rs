//! The stream of a client that may not have logged in yet. Until the login its packets must be short,
//! their sum is bounded, and each waits for a turn at the core's time. After the login, bytes only pass
//! through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use podgate_process::network::Network;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

use super::clear_text::ClearText;
use super::client::Client;

/// russh reads a packet in two steps: first its length, with at most one block of a cipher, then the rest.
const LENGTH: usize = 16;
/// Bytes of a packet before keys are exchanged, at most. Clients send some 2 KiB, a list of what they
/// support. Comparing 32 KiB of names with ours would take longer than the key exchange.
const CLEAR: usize = 8 * 1024;
/// Bytes that are taken from the socket at once.
const PIECE: usize = 4096;

/// Why a client that has not logged in is cut off.
#[derive(Debug, thiserror::Error)]
enum Excess {
    #[error("before its login the client sent a packet of {0} bytes")]
    Packet(usize),
    #[error("the client sent too much before its login")]
    Total,
}

impl Excess {
    /// The limit's key in the configuration.
    fn limit(&self) -> &'static str {
        match self {
            Self::Packet(_) => "loginPacketBytes",
            Self::Total => "loginBytes",
        }
    }
}

pub(super) struct PreAuthStream<S> {
    stream: S,
    client: Arc<Client>,
    /// None once the client has logged in.
    bounds: Option<Bounds>,
}

/// The bounds that hold until the login.
struct Bounds {
    address: Network,
    /// Bytes that may still come.
    left: usize,
    /// How far what was given is not encrypted.
    clear: ClearText,
    /// Bytes that wait for their turn.
    held: Vec<u8>,
    turn: Option<oneshot::Receiver<()>>,
}

impl<S> PreAuthStream<S> {
    pub(super) fn new(stream: S, client: Arc<Client>) -> Self {
        let bounds = Bounds {
            address: Network::of(client.peer.ip()),
            left: client.context.limits.login_bytes,
            clear: ClearText::Line,
            held: Vec::new(),
            turn: None,
        };
        Self {
            stream,
            client,
            bounds: Some(bounds),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PreAuthStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let stream = Pin::new(&mut this.stream);
        let Some(bounds) = &mut this.bounds else {
            return stream.poll_read(cx, buffer);
        };
        let turns = &this.client.context.turns;
        // russh reads again once it is done with the packet.
        this.client.step.ends(turns);
        if this.client.logged_in.is_cancelled() {
            let held = std::mem::take(&mut bounds.held);
            if held.is_empty() {
                this.bounds = None;
                return stream.poll_read(cx, buffer);
            }
            bounds.give(held, buffer);
            return Poll::Ready(Ok(()));
        }
        if bounds.held.is_empty()
            && let Err(excess) = ready!(bounds.take(stream, &this.client, cx, buffer.remaining()))?
        {
            this.client.refused(excess.limit());
            return Poll::Ready(Err(io::Error::other(excess)));
        }
        // At the stream's end nothing is held.
        if buffer.remaining() > LENGTH && !bounds.held.is_empty() {
            let address = bounds.address;
            let turn = bounds.turn.get_or_insert_with(|| turns.ask(address));
            // If the core ends, nobody gives turns any more.
            let _ = ready!(Pin::new(turn).poll(cx));
            bounds.turn = None;
            this.client.step.begins();
        }
        let held = std::mem::take(&mut bounds.held);
        bounds.give(held, buffer);
        Poll::Ready(Ok(()))
    }
}

impl Bounds {
    /// Takes bytes from the stream, `wanted` at most, and holds them.
    fn take<S: AsyncRead>(
        &mut self,
        stream: Pin<&mut S>,
        client: &Client,
        cx: &mut Context<'_>,
        wanted: usize,
    ) -> Poll<io::Result<Result<(), Excess>>> {
        let most = client.context.limits.login_packet;
        let most = match self.clear.has_ended() {
            true => most,
            false => most.min(CLEAR),
        };
        if wanted > most {
            return Poll::Ready(Ok(Err(Excess::Packet(wanted))));
        }
        let mut bytes = [0; PIECE];
        let room = bytes.get_mut(..wanted.min(PIECE)).unwrap_or_default();
        let mut piece = ReadBuf::new(room);
        ready!(stream.poll_read(cx, &mut piece))?;
        let taken = piece.filled();
        match self.left.checked_sub(taken.len()) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Ok(Err(Excess::Total))),
        }
        self.held.extend_from_slice(taken);
        Poll::Ready(Ok(Ok(())))
    }

    /// Gives bytes to the reader, and holds those that it has no room for.
    fn give(&mut self, mut bytes: Vec<u8>, buffer: &mut ReadBuf<'_>) {
        let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
        self.clear.pass(&bytes);
        buffer.put_slice(&bytes);
        self.held = rest;
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PreAuthStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
