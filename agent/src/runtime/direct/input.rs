//! What a program reads: its own pipe or terminal. A write never waits, so that a terminal's size goes
//! ahead of all input; the rest that did not fit is written before more is taken.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use podgate_proto::v1::TerminalSize;
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::descriptor::{self, Watched};
use super::growth::Growth;
use crate::streams;

/// The kernel may call a terminal writable that takes nothing, and each try to write makes it say so
/// again. So there is a pause after a try in vain. A pipe is called writable again only when it is.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// The input of a program.
pub(super) struct Input {
    /// None once nobody reads there any more, or its end was given. What comes then is dropped.
    to: Option<Arc<Watched>>,
    /// What did not fit.
    rest: Vec<u8>,
    /// Whether no more comes after the rest.
    ends: bool,
    /// Of a pipe; a terminal has none.
    growth: Option<Growth>,
}

impl Input {
    pub(super) fn pipe(to: Watched, growth: Growth) -> Self {
        Self::new(Arc::new(to), Some(growth))
    }

    pub(super) fn terminal(master: Arc<Watched>) -> Self {
        Self::new(master, None)
    }

    fn new(to: Arc<Watched>, growth: Option<Growth>) -> Self {
        Self {
            to: Some(to),
            rest: Vec::new(),
            ends: false,
            growth,
        }
    }

    fn is_terminal(&self) -> bool {
        self.growth.is_none()
    }

    fn close(&mut self) {
        self.to = None;
        self.rest = Vec::new();
        if let Some(growth) = &mut self.growth {
            growth.end();
        }
    }
}

#[async_trait]
impl streams::Input for Input {
    async fn ready(&mut self) -> io::Result<()> {
        let mut pause = FIRST_PAUSE;
        while let Some(to) = self.to.clone()
            && !self.rest.is_empty()
        {
            let mut ready = to.writable().await?;
            match descriptor::write(to.get_ref(), &self.rest)? {
                None => self.close(),
                Some(written) => {
                    self.rest.drain(..written);
                    if self.rest.is_empty() {
                        break;
                    }
                    ready.clear_ready();
                    if written > 0 {
                        pause = FIRST_PAUSE;
                    } else if self.is_terminal() {
                        sleep(pause).await;
                        pause = LAST_PAUSE.min(pause * 2);
                    }
                }
            }
        }
        self.rest = Vec::new();
        if self.ends {
            self.close();
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.rest.is_empty() {
            self.ready().await?;
        }
        let Some(to) = &self.to else {
            return Ok(());
        };
        match descriptor::write(to.get_ref(), bytes)? {
            None => self.close(),
            Some(written) => {
                let rest = bytes.get(written..).unwrap_or_default();
                self.rest.extend_from_slice(rest);
                if let Some(growth) = &mut self.growth {
                    growth.moved(to.get_ref(), !rest.is_empty());
                }
            }
        }
        Ok(())
    }

    /// A terminal's input has no end: as under sshd, the program there goes on to wait for keys.
    async fn end(&mut self) -> io::Result<()> {
        if !self.is_terminal() {
            self.ends = true;
            if self.rest.is_empty() {
                self.close();
            }
        }
        Ok(())
    }

    /// Never cancelled: the end of the program itself is known.
    fn unwanted(&self) -> CancellationToken {
        CancellationToken::new()
    }

    async fn discard(&mut self) -> io::Result<()> {
        self.close();
        Ok(())
    }

    async fn resize(&mut self, size: &TerminalSize) -> io::Result<()> {
        let Some(master) = self.to.as_ref().filter(|_| self.is_terminal()) else {
            return Ok(());
        };
        let length = |length: u32| u16::try_from(length).unwrap_or(u16::MAX);
        let now = tcgetwinsize(master.get_ref())?;
        let size = Winsize {
            ws_row: length(size.rows),
            ws_col: length(size.columns),
            ..now
        };
        Ok(tcsetwinsize(master.get_ref(), size)?)
    }

    /// It needs none. A pipe that was quiet since the last time is shrunk.
    async fn keep_alive(&mut self) -> io::Result<()> {
        if let (Some(to), Some(growth)) = (&self.to, &mut self.growth) {
            growth.look(to.get_ref());
        }
        Ok(())
    }
}
