//! A program on a terminal of its own, driven as a person does it: wait for words, type, resize.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use pty_process::{OwnedReadPty, OwnedWritePty, Size};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::timeout;

/// For the words that are waited for.
const WITHIN: Duration = Duration::from_secs(20);

/// The program and its terminal; killed on drop.
pub struct Terminal {
    child: Child,
    read: OwnedReadPty,
    write: OwnedWritePty,
    /// Text that has come and was not waited for yet.
    seen: String,
}

impl Terminal {
    /// Starts a program on a new terminal.
    ///
    /// # Errors
    /// When there is no terminal or no program.
    pub fn start(program: &str, args: &[String], rows: u16, columns: u16) -> Result<Self> {
        let (pty, slave) = pty_process::open()?;
        pty.resize(Size::new(rows, columns))?;
        let command = pty_process::Command::new(program)
            .args(args)
            .env("TERM", "xterm")
            .kill_on_drop(true);
        let child = command.spawn(slave).with_context(|| program.to_owned())?;
        let (read, write) = pty.into_split();
        Ok(Self {
            child,
            read,
            write,
            seen: String::new(),
        })
    }

    /// Waits for words, and gives all that came up to and with them.
    ///
    /// # Errors
    /// When they do not come in time; with what came instead.
    pub async fn expect(&mut self, words: &str) -> Result<String> {
        let mut buffer = [0; 4096];
        let wait = async {
            loop {
                if let Some(at) = self.seen.find(words) {
                    let rest = self.seen.split_off(at + words.len());
                    return Ok(std::mem::replace(&mut self.seen, rest));
                }
                // Reading a terminal whose last program has gone fails with EIO.
                let length = self.read.read(&mut buffer).await.unwrap_or(0);
                let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
                    bail!("it ended");
                };
                self.seen.push_str(&String::from_utf8_lossy(bytes));
            }
        };
        match timeout(WITHIN, wait).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(error)) => Err(error.context(format!("no {words:?} in {:?}", self.seen))),
            Err(_) => bail!("no {words:?} in {:?}", self.seen),
        }
    }

    /// Types.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.write.write_all(text.as_bytes()).await?)
    }

    /// Gives the terminal another size.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        Ok(self.write.resize(Size::new(rows, columns))?)
    }

    /// The program's process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Takes all that still comes, and the program's exit code.
    ///
    /// # Errors
    /// When it does not end in time, or a signal ended it.
    pub async fn end(mut self) -> Result<(String, i32)> {
        let mut buffer = [0; 4096];
        let drain = async {
            while let Ok(length @ 1..) = self.read.read(&mut buffer).await {
                self.seen.push_str(&String::from_utf8_lossy(
                    buffer.get(..length).unwrap_or(&[]),
                ));
            }
            self.child.wait().await
        };
        let status = timeout(WITHIN, drain).await.context("it does not end")??;
        Ok((self.seen, status.code().context("a signal ended it")?))
    }
}
