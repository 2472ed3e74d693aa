//! The CRI service of a containerd, by its state folder.

use std::path::{Path, PathBuf};

use tonic::Status;
use tonic::transport::Channel;

use crate::real::cri;
use crate::real::cri::runtime_service_client::RuntimeServiceClient;

/// The CRI socket of a state folder.
pub(super) fn socket(dir: &Path) -> PathBuf {
    dir.join("containerd.sock")
}

/// A client of it.
pub(super) async fn runtime(dir: &Path) -> Result<RuntimeServiceClient<Channel>, Status> {
    match cri::connect(&socket(dir)).await {
        Ok(channel) => Ok(RuntimeServiceClient::new(channel)),
        Err(error) => Err(Status::unavailable(format!(
            "{}: {error}",
            socket(dir).display()
        ))),
    }
}
