//! A server that sends as many bytes as it is asked for, again and again.

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// It ends on drop.
pub(crate) struct Server {
    pub(crate) port: u16,
    _tasks: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                served.spawn(serve(stream));
            }
        });
        Ok(Self {
            port,
            _tasks: tasks,
        })
    }
}

async fn serve(mut stream: TcpStream) {
    let chunk = vec![0; 256 * 1024];
    while let Ok(mut left) = stream.read_u64().await {
        while left > 0 {
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            if stream.write_all(&chunk[..some]).await.is_err() {
                return;
            }
            left -= some as u64;
        }
    }
}
