//! The streams of a session of files at the rates that it may have. While they wait, the session's credit
//! holds up its other end.

use std::convert::Infallible;
use std::io;

use async_trait::async_trait;
use podgate_proto::v1::TerminalSize;
use tokio_util::sync::CancellationToken;

use super::rates::Throttle;
use crate::metrics::{Throttled, Waited};
use crate::streams::{self, Event, Lost, Streams};

/// Puts these streams under the rates of a session.
pub(crate) fn throttled(
    streams: Streams,
    (up, down): (Option<Throttle>, Option<Throttle>),
    metrics: &Throttled,
) -> Streams {
    let Streams { input, output } = streams;
    Streams {
        input: match up {
            None => input,
            Some(throttle) => Box::new(Input {
                input,
                throttle,
                waited: metrics.upload.clone(),
            }),
        },
        output: match down {
            None => output,
            Some(throttle) => Box::new(Output {
                output,
                throttle,
                waited: metrics.download.clone(),
                held: None,
            }),
        },
    }
}

struct Input {
    input: Box<dyn streams::Input>,
    throttle: Throttle,
    waited: Waited,
}

#[async_trait]
impl streams::Input for Input {
    async fn ready(&mut self) -> io::Result<()> {
        self.input.ready().await
    }

    fn unwanted(&self) -> CancellationToken {
        self.input.unwanted()
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let waited = self.throttle.wait(bytes.len()).await;
        self.waited.inc_by(waited.as_secs_f64());
        self.input.write(bytes).await
    }

    async fn resize(&mut self, size: &TerminalSize) -> io::Result<()> {
        self.input.resize(size).await
    }

    async fn end(&mut self) -> io::Result<()> {
        self.input.end().await
    }

    async fn discard(&mut self) -> io::Result<()> {
        self.input.discard().await
    }

    async fn keep_alive(&mut self) -> io::Result<()> {
        self.input.keep_alive().await
    }
}

struct Output {
    output: Box<dyn streams::Output>,
    throttle: Throttle,
    waited: Waited,
    /// What waits. It is not lost if the wait is dropped half way.
    held: Option<Event>,
}

#[async_trait]
impl streams::Output for Output {
    async fn next(&mut self) -> Result<Event, Lost> {
        let held = match self.held.take() {
            Some(held) => held,
            None => self.output.next().await?,
        };
        if let Event::Stdout(bytes) = &held {
            let length = bytes.len();
            self.held = Some(held);
            let waited = tokio::select! {
                biased;
                waited = self.throttle.wait(length) => waited,
                never = async { self.output.read_ahead().await } => match never {},
            };
            self.waited.inc_by(waited.as_secs_f64());
            return match self.held.take() {
                Some(held) => Ok(held),
                None => self.output.next().await,
            };
        }
        Ok(held)
    }

    async fn read_ahead(&mut self) -> Infallible {
        self.output.read_ahead().await
    }

    fn can_close_stdout(&self) -> bool {
        self.output.can_close_stdout()
    }

    fn close_stdout(&mut self) {
        self.output.close_stdout();
    }
}
