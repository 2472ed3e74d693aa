//! A slow network: a relay that passes bytes on half a round trip later, either way.

use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

/// Half of the round trip.
const ONE_WAY: Duration = Duration::from_millis(25);
/// Pieces that may be under way: more than any window holds.
const UNDER_WAY: usize = 16 * 1024;
const PIECE: usize = 64 * 1024;

/// Listens, and leads to this port. It ends with its runtime.
pub(crate) async fn relay(port: u16) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let own = listener.local_addr()?.port();
    let tasks = TaskTracker::new();
    let each = tasks.clone();
    tasks.spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                continue;
            };
            for stream in [&near, &far] {
                let _ = stream.set_nodelay(true);
            }
            let (near, far) = (near.into_split(), far.into_split());
            each.spawn(pass(near.0, far.1));
            each.spawn(pass(far.0, near.1));
        }
    });
    Ok(own)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (sender, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let late = async move {
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    let read = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let bytes = piece[..length].to_vec();
            if sender
                .send((Instant::now() + ONE_WAY, bytes))
                .await
                .is_err()
            {
                return;
            }
        }
    };
    tokio::join!(read, late);
}
