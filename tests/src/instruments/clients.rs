//! Clients that are not OpenSSH's, where `tests/clients/install` has put them, and the scripts of
//! `tests/clients`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

/// What `tests/clients/install` has installed under this name.
///
/// # Errors
/// When it has not.
pub fn installed(name: &str) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let own = || root.unwrap_or(Path::new("")).join("target");
    let path = target.unwrap_or_else(own).join("clients").join(name);
    ensure!(path.exists(), "{path:?}: run tests/clients/install");
    Ok(path)
}

/// A script, to which a test adds words.
///
/// # Errors
/// When its interpreter is not installed.
pub fn script(name: &str) -> Result<Command> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name);
    let mut command = match path.extension().is_some_and(|kind| kind == "js") {
        true => {
            // Where the machine has none, it is beside Python.
            let own = installed("venv/bin")?.join("node");
            let mut node = match own.exists() {
                true => Command::new(own),
                false => Command::new("node"),
            };
            node.env("NODE_PATH", installed("node_modules")?);
            node
        }
        false => Command::new(installed("venv/bin")?.join("python3")),
    };
    command.arg(path);
    Ok(command)
}

/// Runs a client to its end, without input. Gives what it says.
///
/// # Errors
/// When it does not end in time, or fails.
pub async fn succeeds(command: &mut Command, within: Duration) -> Result<String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(within, command.output()).await;
    let output = output.context("the client does not end")??;
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {told}", output.status);
    Ok(told.into_owned())
}
