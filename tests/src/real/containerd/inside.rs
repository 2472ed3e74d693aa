//! Sockets of a pod's network, for tests that are outside of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};

use super::running::RunningPod;
use crate::real::namespace::within;

/// For a connection.
const SOON: Duration = Duration::from_secs(20);

impl RunningPod {
    /// Connects from within the pod of a container `app`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(&self, address: SocketAddr) -> Result<TcpStream> {
        let stream = within(self.pid("app").await?, move || {
            let stream = std::net::TcpStream::connect_timeout(&address, SOON)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        Ok(TcpStream::from_std(stream?)?)
    }

    /// Listens within the pod of a container `app`.
    ///
    /// # Errors
    /// When that is not possible there.
    pub async fn listen(&self, address: SocketAddr) -> Result<TcpListener> {
        let listener = within(self.pid("app").await?, move || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        Ok(TcpListener::from_std(listener?)?)
    }
}
