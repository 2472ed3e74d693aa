//! The OpenSSH client, without this machine's own configuration, keys or hosts.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::instruments::eventually::eventually;
use crate::instruments::terminal::Terminal;
use crate::real::network::{Network, Site};

/// For one run of a client, by default.
const WITHIN: Duration = Duration::from_secs(60);

/// A user's client: one key, one known host.
#[derive(Clone, Debug)]
pub struct Client {
    dir: PathBuf,
    host: String,
    port: u16,
    /// Words before every program.
    enter: Vec<String>,
    any_host: bool,
}

/// A connection that several `ssh` share; it ends on drop.
pub struct Shared {
    /// The option that makes an `ssh` use it.
    pub option: String,
    _master: Child,
}

/// Makes a key pair without a passphrase; gives the public key's line.
///
/// # Errors
/// When ssh-keygen is missing or fails.
pub async fn keygen(path: &Path, kind: &[&str]) -> Result<String> {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "podgate-stand"])
        .args(kind)
        .arg("-f")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .await
        .context("ssh-keygen")?;
    anyhow::ensure!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    Ok(std::fs::read_to_string(path.with_extension("pub"))?
        .trim()
        .to_owned())
}

impl Client {
    /// A client in a folder that holds its key `id` and its `known_hosts`.
    pub fn new(dir: &Path, port: u16) -> Self {
        Self {
            dir: dir.to_owned(),
            host: "127.0.0.1".to_owned(),
            port,
            enter: Vec::new(),
            any_host: false,
        }
    }

    /// The same to a host whose key its `known_hosts` does not have, as a bench's sshd.
    #[must_use]
    pub fn to_any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// The same to a frontdoor at another address.
    #[must_use]
    pub fn at(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// The same on a network of its own, to a frontdoor on another.
    #[must_use]
    pub fn on(mut self, network: &Network) -> Self {
        self.host = network.address(Site::Frontdoor);
        self.enter = network.enter(Site::Client);
        self
    }

    /// What clients that are not OpenSSH's need: the frontdoor's address and port, the key, and the file of
    /// known hosts.
    pub fn parts(&self) -> (&str, u16, PathBuf, PathBuf) {
        let (key, known) = (self.dir.join("id"), self.dir.join("known_hosts"));
        (&self.host, self.port, key, known)
    }

    /// Options that every program of OpenSSH takes.
    pub fn options(&self) -> Vec<String> {
        let dir = self.dir.display();
        let (known, check) = match self.any_host {
            true => ("/dev/null".to_owned(), "no"),
            false => (format!("{dir}/known_hosts"), "yes"),
        };
        [
            "-F".to_owned(),
            "none".to_owned(),
            format!("-oPort={}", self.port),
            format!("-oIdentityFile={dir}/id"),
            format!("-oUserKnownHostsFile={known}"),
            "-oGlobalKnownHostsFile=none".to_owned(),
            "-oIdentitiesOnly=yes".to_owned(),
            "-oIdentityAgent=none".to_owned(),
            format!("-oStrictHostKeyChecking={check}"),
            "-oBatchMode=yes".to_owned(),
            "-oLogLevel=ERROR".to_owned(),
        ]
        .into()
    }

    /// `ssh` to a target, to which a test adds options and a command. Options go first, so they hold
    /// against those that every client has (ssh_config(5): the first value is used).
    pub fn ssh(&self, options: &[&str], target: &str) -> Command {
        let mut words = self.enter.iter().cloned().chain(["ssh".to_owned()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .args(options)
            .args(self.options())
            .arg(format!("{target}@{}", self.host));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Another program of OpenSSH, as `sftp` or `scp`, to which a test adds words. Targets are
    /// [`address`](Self::address)es.
    pub fn tool(&self, program: &str) -> Command {
        let mut words = self.enter.iter().cloned().chain([program.to_owned()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(self.options());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// A target as programs of OpenSSH take it.
    pub fn address(&self, target: &str) -> String {
        format!("{target}@{}", self.host)
    }

    /// Runs a command in a target, its stdin empty.
    ///
    /// # Errors
    /// When ssh cannot be run or does not end in time.
    pub async fn run(&self, options: &[&str], target: &str, command: &str) -> Result<Output> {
        let mut ssh = self.ssh(options, target);
        timeout(WITHIN, ssh.arg(command).output())
            .await
            .context("ssh does not end")?
            .context("ssh")
    }

    /// Runs a command in a target with these bytes for stdin.
    ///
    /// # Errors
    /// When ssh cannot be run or does not end in time.
    pub async fn feed(&self, target: &str, command: &str, stdin: &[u8]) -> Result<Output> {
        let mut ssh = self.ssh(&[], target);
        let mut child = ssh
            .arg(command)
            .stdin(Stdio::piped())
            .spawn()
            .context("ssh")?;
        let mut pipe = child.stdin.take().context("stdin is piped")?;
        let write = async move {
            // A command need not read all.
            let _ = pipe.write_all(stdin).await;
        };
        let both = async { tokio::join!(write, child.wait_with_output()).1 };
        timeout(WITHIN, both)
            .await
            .context("ssh does not end")?
            .context("ssh")
    }

    /// Opens a connection that others share: give [`Shared::option`] to their `ssh`.
    ///
    /// # Errors
    /// When it does not come about.
    pub async fn share(&self, target: &str) -> Result<Shared> {
        let path = self.dir.join(format!("control-{target}"));
        let option = format!("-oControlPath={}", path.display());
        let mut ssh = self.ssh(&["-M", "-N", &option], target);
        let master = ssh.spawn().context("ssh")?;
        // Its socket shows that it is ready; ssh gives no other sign.
        let there = || async { path.exists().then_some(()) };
        eventually("a shared connection", WITHIN, there).await?;
        Ok(Shared {
            option,
            _master: master,
        })
    }

    /// `ssh` on a terminal of its own: a shell, or a command by its words.
    ///
    /// # Errors
    /// When there is no terminal or no ssh.
    pub fn terminal(
        &self,
        target: &str,
        command: &[&str],
        rows: u16,
        columns: u16,
    ) -> Result<Terminal> {
        self.terminal_with(&[], target, command, rows, columns)
    }

    /// The same with options.
    ///
    /// # Errors
    /// As of [`terminal`](Self::terminal).
    pub fn terminal_with(
        &self,
        options: &[&str],
        target: &str,
        command: &[&str],
        rows: u16,
        columns: u16,
    ) -> Result<Terminal> {
        let mut words = self.enter.iter().cloned().chain(["ssh".to_owned()]);
        let program = words.next().unwrap_or_default();
        let options = options.iter().map(|&option| option.to_owned());
        let mut args: Vec<_> = words.chain(options).chain(self.options()).collect();
        if !command.is_empty() {
            args.push("-t".to_owned());
        }
        args.push(format!("{target}@{}", self.host));
        args.extend(command.iter().map(|&word| word.to_owned()));
        Terminal::start(&program, &args, rows, columns)
    }

    /// The line to type for the same with a program of OpenSSH.
    pub fn line(&self, program: &str, target: &str) -> String {
        let options = self.options().join(" ");
        format!("{program} {options} {target}@{}", self.host)
    }
}
