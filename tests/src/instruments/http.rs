//! An HTTP server with one page.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Serves until it is dropped.
pub struct Pages {
    port: u16,
    serves: JoinHandle<()>,
}

impl Pages {
    /// On a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(page: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let serves = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A client that has gone needs no page.
                    let _ = answer(stream, page).await;
                });
            }
        });
        Ok(Self { port, serves })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

async fn answer(mut stream: TcpStream, page: &str) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await? > 0 {}
    let length = page.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
