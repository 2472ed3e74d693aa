//! The input of a session on a terminal. The end of input is sent as a character, but only if the
//! terminal takes it for an end: a program that reads single keys would read it as a key.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use podgate_proto::v1::TerminalSize;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use crate::exec;
use crate::grant::Granted;
use crate::shell::hangup::Script;
use crate::shell::leader::Leader;
use crate::streams::Input;

/// How stty shows that a terminal gives single keys rather than lines.
const RAW: &str = "-icanon";

/// The input of an exec with a terminal and a leader.
pub(super) struct TerminalInput {
    pub(super) input: exec::Input,
    pub(super) client: Arc<Client>,
    pub(super) granted: Granted,
    pub(super) leader: Leader,
}

impl TerminalInput {
    /// Whether the terminal gives single keys, as the image's own stty sees it. Without an answer it is
    /// taken to give lines.
    async fn is_raw(client: &Client, granted: &Granted, leader: Leader) -> bool {
        match client.run(granted, &Script::modes(leader)).await {
            Ok(modes) => {
                modes.is_some_and(|modes| modes.split_whitespace().any(|word| word == RAW))
            }
            Err(error) => {
                tracing::debug!(%error, "the terminal's modes are not known");
                false
            }
        }
    }
}

#[async_trait]
impl Input for TerminalInput {
    async fn ready(&mut self) -> io::Result<()> {
        self.input.ready().await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.write(bytes).await
    }

    async fn end(&mut self) -> io::Result<()> {
        if Self::is_raw(&self.client, &self.granted, self.leader).await {
            return Ok(());
        }
        self.input.end().await
    }

    fn unwanted(&self) -> CancellationToken {
        self.input.unwanted()
    }

    async fn discard(&mut self) -> io::Result<()> {
        self.input.discard().await
    }

    async fn resize(&mut self, size: &TerminalSize) -> io::Result<()> {
        self.input.resize(size).await
    }

    async fn keep_alive(&mut self) -> io::Result<()> {
        self.input.keep_alive().await
    }
}
