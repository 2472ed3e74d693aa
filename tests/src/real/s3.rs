//! The server of S3 of PyPI's moto, which `tests/clients/install` installs. It keeps its objects in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::daemon::{Daemon, on_free_port};

/// The one bucket.
pub const BUCKET: &str = "recordings";

/// One server; stops on drop.
#[derive(Debug)]
pub struct S3 {
    port: u16,
    process: Daemon,
    /// Removed once the process is gone.
    _dir: TempDir,
}

impl S3 {
    /// Starts one with an empty bucket.
    ///
    /// # Errors
    /// When it is not installed, or does not answer.
    pub async fn start() -> Result<Self> {
        on_free_port(Self::start_at).await
    }

    async fn start_at(port: u16) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("podgate-s3-").tempdir()?;
        let mut command = Command::new(python());
        let at = ["-m", "moto.server", "-H", "127.0.0.1", "-p"];
        command.args(at).arg(port.to_string());
        let process = Daemon::spawn("moto", &mut command, dir.path())
            .context("moto, which tests/clients/install installs")?;
        let mut s3 = Self {
            port,
            process,
            _dir: dir,
        };
        let make = || async {
            let made = ask(port, "PUT", &format!("/{BUCKET}")).await;
            made.ok().filter(|answer| answer.0 == 200)
        };
        s3.process.until(make).await?;
        Ok(s3)
    }

    /// Where it listens, on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The names of all objects.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn names(&self) -> Result<Vec<String>> {
        let (status, text) = ask(self.port, "GET", &format!("/{BUCKET}")).await?;
        ensure!(status == 200, "{text}");
        let keys = text.split("<Key>").skip(1);
        let names = keys.filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()));
        Ok(names.collect())
    }

    /// Removes an object.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let (status, text) = ask(self.port, "DELETE", &format!("/{BUCKET}/{name}")).await?;
        ensure!(status == 204, "{text}");
        Ok(())
    }
}

fn python() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = target.unwrap_or_else(|| root.join("target"));
    target.join("clients/venv/bin/python")
}

/// One request and its answer: status and text. moto wants to see who signs, and checks no signature.
async fn ask(port: u16, method: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {signed}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, answer))
}
