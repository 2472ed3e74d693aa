//! How connections are opened in a pod's network.

use std::fmt::Debug;

use async_trait::async_trait;
use podgate_proto::v1::Address;

use super::error;
use crate::connection::Connection;
use crate::grant::Granted;

/// Opens connections to addresses as a pod sees them. It opens none before it knows that the granted
/// container is the live one and that no rule of this node denies it.
#[async_trait]
pub(crate) trait Dialer: Debug + Send + Sync {
    async fn dial(&self, granted: &Granted, address: &Address) -> Result<Connection, Error>;

    /// Waits until the granted container is no more, and says why in words for the user.
    async fn until_gone(&self, granted: &Granted) -> String;
}

/// Why no connection stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// In the operating system's words.
    #[error("{0}")]
    NotConnected(String),
    #[error(
        "on the pod's node only 127.0.0.1 and localhost of the pod can be reached; other addresses and sockets need the node entry"
    )]
    NeedsEntry,
    #[error(transparent)]
    Runtime(#[from] error::Error),
}
