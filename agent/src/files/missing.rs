//! The output of an image's own server of files, or a line that says that the image has none.

use std::convert::Infallible;

use async_trait::async_trait;

use super::request::Service;
use crate::exit::Exit;
use crate::streams::{Event, Lost, Output};

/// With which a shell ends that does not find a program.
const NOT_FOUND: u8 = 127;

const NO_SFTP: &str = "this image has no sftp-server; where it has scp, scp -O works, and where it has tar, this does: ssh TARGET tar cf - FILES | tar xf -";
const NO_SCP: &str = "this image has no scp; where it has an sftp-server, sftp and scp without -O work, and where it has tar, this does: ssh TARGET tar cf - FILES | tar xf -";

/// The output of a program that the image may not have.
pub(crate) struct OrMissing {
    output: Box<dyn Output>,
    line: &'static str,
    /// Whether anything came. Then there is a program, however it ends.
    spoke: bool,
}

impl OrMissing {
    pub(crate) fn new(output: Box<dyn Output>, service: &Service) -> Self {
        let line = match service {
            Service::Sftp(_) => NO_SFTP,
            Service::Scp(_) => NO_SCP,
        };
        Self {
            output,
            line,
            spoke: false,
        }
    }
}

#[async_trait]
impl Output for OrMissing {
    async fn read_ahead(&mut self) -> Infallible {
        self.output.read_ahead().await
    }

    fn can_close_stdout(&self) -> bool {
        self.output.can_close_stdout()
    }

    fn close_stdout(&mut self) {
        self.output.close_stdout();
    }

    async fn next(&mut self) -> Result<Event, Lost> {
        let event = loop {
            match self.output.next().await? {
                // It may be the status that is told in other words.
                Event::Ended(_) => {}
                event => break event,
            }
        };
        match event {
            Event::Exit(Exit::Code(NOT_FOUND) | Exit::NotFound(_)) if !self.spoke => {
                Ok(Event::Exit(Exit::Missing(self.line)))
            }
            event => {
                self.spoke |= !matches!(event, Event::Exit(_));
                Ok(event)
            }
        }
    }
}
