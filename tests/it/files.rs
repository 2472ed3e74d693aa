//! Files by OpenSSH's own clients: SFTP and scp, in pods whose image brings a server of its own, and in
//! those that have none.

mod clients;
mod filters;
mod image;
mod rates;
mod rights;
mod same;
mod worker;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use podgate_tests::fixtures::stand::Stand;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

const SOON: Duration = Duration::from_secs(30);
/// Names that a shell, a glob or a line could stumble over.
const NAMES: [&str; 7] = [
    "plain",
    "a b",
    "it's",
    "\"x\"",
    "new\nline",
    "*?[a]",
    "-r $HOME;`id`",
];

/// The client's own folder.
struct Local(TempDir);

impl Local {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of bytes that differ from block to block.
    fn file(&self, name: &str, size: usize) -> PathBuf {
        let path = self.path(name);
        let bytes: Vec<u8> = (0..size).map(|n| (n / 251 + n) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn same(one: &Path, other: &Path) {
    let (one, other) = (std::fs::read(one), std::fs::read(other));
    assert!(one.unwrap() == other.unwrap(), "the files differ");
}

/// Runs a batch of sftp's commands.
async fn sftp(stand: &Stand, target: &str, batch: &str) -> Output {
    let client = &stand.client;
    let mut sftp = client.tool("sftp");
    sftp.args(["-b", "-"]).arg(client.address(target));
    let mut child = sftp.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(batch.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(SOON, child.wait_with_output()).await;
    output.expect("sftp does not end").unwrap()
}

/// Runs scp with these words.
async fn scp(stand: &Stand, words: &[&str]) -> Output {
    let mut scp = stand.client.tool("scp");
    let output = tokio::time::timeout(SOON, scp.args(words).output()).await;
    output.expect("scp does not end").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeds(output: &Output) -> String {
    let told = text(&output.stderr);
    assert!(output.status.success(), "{:?}: {told}", output.status);
    text(&output.stdout)
}

/// What a client that fails says.
fn fails(output: &Output) -> String {
    assert!(!output.status.success(), "{}", text(&output.stdout));
    text(&output.stderr)
}

/// A path as scp's SFTP mode takes it, where it is a pattern.
fn escaped(path: &Path) -> String {
    let path = path.to_str().unwrap();
    let special = |char| "*?[]\\".contains(char);
    path.chars()
        .flat_map(|char| special(char).then_some('\\').into_iter().chain([char]))
        .collect()
}

/// A word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_str().unwrap().replace('\'', r"'\''"))
}
