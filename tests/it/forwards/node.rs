//! A node with an entry, and a pod in a network with this machine.
#![allow(
    clippy::disallowed_methods,
    reason = "the servers' tasks end with the test's runtime"
)]

use std::path::PathBuf;

use podgate_tests::fixtures::stand::Runs;
use podgate_tests::real::containerd::{Bridge, PodSpec, RunningPod};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

/// A node with an entry, and a pod in a network with this machine.
pub(super) struct Node {
    pub(super) stand: Stand,
    pub(super) bridge: Bridge,
    pub(super) pod: RunningPod,
}

impl Node {
    pub(super) async fn start(spec: PodSpec, frontdoor: &str) -> Self {
        Self::with(spec, frontdoor, "").await
    }

    /// With these lines more for the frontdoor and for the agent.
    pub(super) async fn with(spec: PodSpec, frontdoor: &str, agent: &str) -> Self {
        let changes = Changes {
            runs: Runs::Auto,
            frontdoor: frontdoor.to_owned(),
            agent: agent.to_owned(),
            ..Changes::default()
        };
        let stand = Stand::containerd(changes).await.unwrap();
        let bridge = Bridge::new().unwrap();
        let joined = Some(bridge.place(2));
        let spec = PodSpec {
            joined,
            ..spec.own_network()
        };
        let pod = stand.run_pod(spec).await.unwrap();
        Self { stand, bridge, pod }
    }

    /// A file of the container, as this machine sees it.
    pub(super) async fn file(&self, path: &str) -> PathBuf {
        let pid = self.pod.pid("app").await.unwrap();
        format!("/proc/{pid}/root{path}").into()
    }

    pub(super) async fn listener(&self) -> (TcpListener, u16) {
        let listener = TcpListener::bind((self.bridge.gateway(), 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// A server that gives back all that it is sent, in upper case.
    pub(super) async fn upper(&self) -> (JoinHandle<()>, u16) {
        let (listener, port) = self.listener().await;
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shout(stream));
            }
        };
        (tokio::spawn(serve), port)
    }

    pub(super) async fn through(&self, address: &str, text: &[u8]) -> Output {
        through(&self.stand, &self.pod.name, address, text).await
    }

    pub(super) async fn reaches(&self, address: &str) {
        let output = self.through(address, b"hi").await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"HI", "{address}: {said}");
    }

    pub(super) async fn refuses(&self, address: &str, expect: &str) {
        let said = refused(&self.stand, &self.pod.name, address).await;
        assert!(said.contains(expect), "{address}: {said}");
    }
}

/// Waits for the end of what comes, and gives it back in upper case.
pub(super) async fn shout(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let mut text = Vec::new();
    if stream.read_to_end(&mut text).await.is_ok() {
        let _ = stream.write_all(&text.to_ascii_uppercase()).await;
    }
}
