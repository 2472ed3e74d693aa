//! Connections at the rates that files have, so that whoever moves much by a forward gets no more of a node
//! than by SFTP. While bytes wait, the connection's credit holds up its other end.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use crate::connection::{Connection, Read, Write};
use crate::rates::{Throttle, Wait};
use crate::streams::Lost;

/// Puts a connection under a user's rates, up and down.
pub(super) fn throttled(
    connection: Connection,
    (up, down): (Option<Throttle>, Option<Throttle>),
) -> Connection {
    let Connection { write, read } = connection;
    Connection {
        write: match up {
            None => write,
            Some(throttle) => Box::new(Writer { write, throttle }),
        },
        read: match down {
            None => read,
            Some(throttle) => Box::new(Reader {
                read,
                throttle,
                held: None,
            }),
        },
    }
}

struct Writer {
    write: Box<dyn Write>,
    throttle: Throttle,
}

#[async_trait]
impl Write for Writer {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let wait = self.throttle.take(bytes.len());
        self.throttle.until_free(&wait).await;
        self.write.write(bytes).await
    }

    async fn end(&mut self) -> io::Result<()> {
        self.write.end().await
    }

    async fn keep_alive(&mut self) -> io::Result<()> {
        self.write.keep_alive().await
    }
}

struct Reader {
    read: Box<dyn Read>,
    throttle: Throttle,
    /// What waits. If the wait is dropped half way, it is neither lost nor taken of the rates again.
    held: Option<(Bytes, Wait)>,
}

#[async_trait]
impl Read for Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, Lost> {
        if self.held.is_none() {
            let Some(bytes) = self.read.next().await? else {
                return Ok(None);
            };
            let wait = self.throttle.take(bytes.len());
            self.held = Some((bytes, wait));
        }
        if let Some((_, wait)) = &self.held {
            self.throttle.until_free(wait).await;
        }
        Ok(self.held.take().map(|(bytes, _)| bytes))
    }
}
