//! A server whose answer needs both halves of a connection: it reads all that its client sends, up to
//! the end, and only then answers the same in capitals.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Serves until it is dropped.
pub struct Upper {
    port: u16,
    serves: JoinHandle<()>,
}

impl Upper {
    /// On a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let serves = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A client that has gone needs no answer.
                    let _ = answer(stream).await;
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

impl Drop for Upper {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await?;
    text.make_ascii_uppercase();
    stream.write_all(&text).await?;
    stream.shutdown().await
}

/// What a server like this one answers at a port of 127.0.0.1.
///
/// # Errors
/// When nobody answers there, or the connection breaks.
pub async fn ask(port: u16, text: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(text).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}
