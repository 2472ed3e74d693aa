//! The Kubernetes Container Runtime Interface, generated from `proto/cri.proto`, and a connection to a
//! runtime that serves it on a unix socket.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

#[allow(missing_docs)]
mod generated {
    tonic::include_proto!("runtime.v1");
}
pub use generated::*;

/// Connects to the runtime that listens on `socket`. The channel belongs to the calling tokio
/// runtime and dies with it.
///
/// # Errors
/// Nothing accepts connections there.
pub async fn connect(socket: &Path) -> Result<Channel, tonic::transport::Error> {
    let socket = PathBuf::from(socket);
    // The URI is never resolved; tonic wants one for the `:authority` header.
    Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        }))
        .await
}
