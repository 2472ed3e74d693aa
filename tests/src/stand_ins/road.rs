//! The road to a server, which a test makes bad: it passes bytes on, and HTTP alone where a fault needs to
//! know where a request ends.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::interval;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections end at once.
    Away,
    /// So many bytes a second reach the server.
    Slow(usize),
    /// Every request is answered with this status, and does not reach the server.
    Status(u16),
    /// The connection ends in the middle of a request's body. The server sees the same.
    Cut,
}

/// A road; it ends on drop.
pub struct Road {
    port: u16,
    fault: watch::Sender<Fault>,
    _end: DropGuard,
}

impl Road {
    /// A road to this port of the loopback.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let (fault, faults) = watch::channel(Fault::None);
        let end = CancellationToken::new();
        let (over, tasks) = (end.clone(), TaskTracker::new());
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut changes, over) = (faults.clone(), over.clone());
                let fault = *changes.borrow_and_update();
                tasks.spawn(async move {
                    // What is open when the fault changes ends.
                    tokio::select! {
                        _ = carry(client, server, fault) => {}
                        _ = changes.changed() => {}
                        () = over.cancelled() => {}
                    }
                });
            }
        };
        let over = end.clone();
        TaskTracker::new().spawn(async move { over.run_until_cancelled(accept).await });
        Ok(Self {
            port,
            fault,
            _end: end.drop_guard(),
        })
    }

    /// Where it begins, on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes it bad, or good again. Connections that are open end.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn carry(mut client: TcpStream, server: u16, fault: Fault) -> std::io::Result<()> {
    if fault == Fault::Away {
        return Ok(());
    }
    if let Fault::Status(status) = fault {
        let mut request = Vec::new();
        let (head, length) = head(&mut client, &mut request).await?;
        while request.len() < head + length {
            if client.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let answer =
            format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return client.write_all(answer.as_bytes()).await;
    }
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    match fault {
        Fault::Cut => {
            let mut request = Vec::new();
            let (head, length) = head(&mut client, &mut request).await?;
            let wanted = head + length / 2;
            while request.len() < wanted {
                if client.read_buf(&mut request).await? == 0 {
                    return Ok(());
                }
            }
            request.truncate(wanted);
            server.write_all(&request).await
        }
        Fault::Slow(rate) => {
            let (from_client, mut to_client) = client.split();
            let (mut from_server, to_server) = server.split();
            let back = tokio::io::copy(&mut from_server, &mut to_client);
            tokio::try_join!(slowly(from_client, to_server, rate), back)?;
            Ok(())
        }
        _ => copy_bidirectional(&mut client, &mut server)
            .await
            .map(|_| ()),
    }
}

async fn slowly(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, rate: usize) -> std::io::Result<()> {
    let mut ticks = interval(Duration::from_millis(100));
    let mut piece = vec![0; (rate / 10).max(1)];
    loop {
        ticks.tick().await;
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(piece.get(..length).unwrap_or_default())
            .await?;
    }
}

/// Reads a request's head. Returns its length and that of the body.
async fn head(client: &mut TcpStream, request: &mut Vec<u8>) -> std::io::Result<(usize, usize)> {
    loop {
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(request.get(..at).unwrap_or_default());
            let lower = text.to_ascii_lowercase();
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length = length.and_then(|length| length.trim().parse().ok());
            return Ok((at + 4, length.unwrap_or(0)));
        }
        if client.read_buf(request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
