//! Connections from many addresses, as strangers make them.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

/// A connection from this address of the loopback, where all of 127.0.0.0/8 is.
///
/// # Errors
/// When an address is none, or nobody answers.
pub async fn from(own: &str, to: &str) -> io::Result<TcpStream> {
    let address = |text: &str| text.parse::<SocketAddr>().map_err(io::Error::other);
    let socket = TcpSocket::new_v4()?;
    socket.bind(address(&format!("{own}:0"))?)?;
    socket.connect(address(to)?).await
}
