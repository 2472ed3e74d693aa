//! What one client may take of a frontdoor: beyond a limit a clear refusal, and nobody else notices.

mod login;
mod sessions;
mod starts;

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::ssh::Client;
use podgate_tests::stand::{Changes, Stand};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// A stand whose frontdoor has these limits, keys and values of YAML, and two cores that must not count
/// apart.
async fn stand(limits: &str) -> Stand {
    let frontdoor = format!("limits: {{{limits}}}\nworkers: 2\n");
    let changes = Changes {
        frontdoor,
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

/// A session that echoes lines until its stdin ends, and ends with the status that it was given.
struct Echo {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Echo {
    /// Starts one, and does not wait.
    fn start(client: &Client, options: &[&str], status: u8) -> Self {
        let mut ssh = client.ssh(options, "demo");
        let command = format!("cat; exit {status}");
        let mut child = ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Starts one, and waits until it works.
    async fn new(client: &Client, options: &[&str]) -> Self {
        let mut echo = Self::start(client, options, 7);
        echo.works("first").await;
        echo
    }

    async fn works(&mut self, word: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin
            .write_all(format!("{word}\n").as_bytes())
            .await
            .unwrap();
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        timeout(SOON, read).await.expect("no echo").unwrap();
        if line != format!("{word}\n") {
            panic!("{line:?}, not {word:?}: {:?}", self.over().await);
        }
    }

    /// Ends its stdin, and gives how it ended.
    async fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.over().await.0
    }

    /// Waits for its end: status and stderr.
    async fn over(&mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        let read = stderr.read_to_string(&mut text);
        timeout(SOON, read).await.expect("it does not end").unwrap();
        (self.child.wait().await.unwrap().code(), text)
    }
}

async fn works(client: &Client, options: &[&str]) {
    let output = client.run(options, "demo", "echo works").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"works\n", "{text}");
}

/// Runs a command that must be refused, and gives the line.
async fn refusal(client: &Client) -> String {
    let output = client.run(&[], "demo", "echo ran").await.unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(255), "{line}");
    assert!(output.stdout.is_empty(), "{line}");
    assert!(
        line.starts_with("podgate: ") && line.ends_with("\r\n") && line.lines().count() == 1,
        "{line:?}"
    );
    line
}

/// The line of the metrics for what a limit refused.
fn refused(limit: &str, count: usize) -> String {
    format!("podgate_frontdoor_refused_total{{limit=\"{limit}\"}} {count}")
}
