//! etcd, of Debian's package etcd-server or the one that `PODGATE_ETCD` names: a store of its own in a
//! folder of its own, over plain HTTP on the loopback.

use std::process::Command;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::daemon::{Daemon, on_free_port};

/// Names the program, if it is not the `etcd` of the PATH.
pub const PROGRAM: &str = "PODGATE_ETCD";

/// One etcd; stops on drop.
#[derive(Debug)]
pub struct Etcd {
    port: u16,
    process: Daemon,
    /// Removed once the process is gone.
    _dir: TempDir,
}

impl Etcd {
    /// Starts an empty one.
    ///
    /// # Errors
    /// When there is no such program, or it does not answer.
    pub async fn start() -> Result<Self> {
        on_free_port(Self::start_at).await
    }

    async fn start_at(port: u16) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("podgate-etcd-").tempdir()?;
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "etcd".into());
        let (client, peer) = (format!("http://127.0.0.1:{port}"), "http://127.0.0.1:0");
        let mut command = Command::new(program);
        command
            .args(["--name", "stand", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", peer])
            .args(["--initial-advertise-peer-urls", peer])
            .args(["--initial-cluster", &format!("stand={peer}")]);
        if cfg!(target_arch = "aarch64") {
            // etcd 3.4 does not start on this architecture without being told to.
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        let process = Daemon::spawn("etcd", &mut command, dir.path())
            .context("of Debian's package etcd-server, or named by PODGATE_ETCD")?;
        let mut etcd = Self {
            port,
            process,
            _dir: dir,
        };
        etcd.process
            .until(async || {
                let health = get(port, "/health").await.ok()?;
                (health.get("health")? == "true").then_some(())
            })
            .await?;
        Ok(etcd)
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a method of its JSON gateway answers, such as `kv/put`; errors are answers too.
    ///
    /// # Errors
    /// When nothing comes, or no JSON.
    pub async fn call(&self, method: &str, message: &Value) -> Result<Value> {
        let body = self.post(method, message).await?.collect().await?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }

    /// Begins a watch, by its `create_request`.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn watch(&self, message: &Value) -> Result<Watch> {
        Ok(Watch {
            body: self.post("watch", message).await?,
            read: Vec::new(),
        })
    }

    async fn post(&self, method: &str, message: &Value) -> Result<Incoming> {
        let request = Request::post(format!("/v3/{method}"));
        send(self.port, request, serde_json::to_vec(message)?).await
    }
}

/// A stream of messages, a line each.
#[derive(Debug)]
pub struct Watch {
    body: Incoming,
    read: Vec<u8>,
}

impl Watch {
    /// The next message.
    ///
    /// # Errors
    /// At the end of the stream.
    pub async fn next(&mut self) -> Result<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(serde_json::from_slice(&line)?);
            }
            let frame = self.body.frame().await.context("the watch has ended")??;
            self.read.extend(frame.into_data().unwrap_or_default());
        }
    }
}

async fn get(port: u16, path: &str) -> Result<Value> {
    let body = send(port, Request::get(path), Vec::new()).await?;
    Ok(serde_json::from_slice(&body.collect().await?.to_bytes())?)
}

async fn send(port: u16, request: http::request::Builder, body: Vec<u8>) -> Result<Incoming> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
    // The task ends with the answer, or with the server.
    tokio::spawn(connection);
    let request = request
        .header("host", "etcd")
        .body(Full::new(Bytes::from(body)))?;
    Ok(sender.send_request(request).await?.into_body())
}
