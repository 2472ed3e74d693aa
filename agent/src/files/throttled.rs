//! The streams of a session of files at the rates that it may have. While they wait, the session's credit
//! holds up its other end.

use std::convert::Infallible;
use std::io;

use async_trait::async_trait;
use podgate_proto::v1::TerminalSize;
use tokio_util::sync::CancellationToken;

use crate::rates::{Throttle, Wait};
use crate::streams::{self, Event, Lost, Streams};

/// Puts these streams under the rates of a session.
pub(crate) fn throttled(
    streams: Streams,
    (up, down): (Option<Throttle>, Option<Throttle>),
) -> Streams {
    let Streams { input, output } = streams;
    Streams {
        input: match up {
            None => input,
            Some(throttle) => Box::new(Input { input, throttle }),
        },
        output: match down {
            None => output,
            Some(throttle) => Box::new(Output {
                output,
                throttle,
                held: None,
            }),
        },
    }
}

struct Input {
    input: Box<dyn streams::Input>,
    throttle: Throttle,
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
        let wait = self.throttle.take(bytes.len());
        self.throttle.until_free(&wait).await;
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
    /// What waits. If the wait is dropped half way, it is neither lost nor taken of the rates again.
    held: Option<(Event, Wait)>,
}

#[async_trait]
impl streams::Output for Output {
    async fn next(&mut self) -> Result<Event, Lost> {
        if self.held.is_none() {
            let event = self.output.next().await?;
            let Event::Stdout(bytes) = &event else {
                return Ok(event);
            };
            let wait = self.throttle.take(bytes.len());
            self.held = Some((event, wait));
        }
        if let Some((_, wait)) = &self.held {
            tokio::select! {
                biased;
                () = self.throttle.until_free(wait) => {}
                never = async { self.output.read_ahead().await } => match never {},
            }
        }
        match self.held.take() {
            Some((event, _)) => Ok(event),
            None => self.output.next().await,
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::metrics::Throttled;
    use crate::rates::clock::{now, run};
    use crate::rates::{Throttles, TransferRates};

    /// Gives a piece of a second's bytes each time.
    struct Pieces;

    const SECOND: usize = 100_000;

    #[async_trait]
    impl streams::Output for Pieces {
        async fn next(&mut self) -> Result<Event, Lost> {
            Ok(Event::Stdout(Bytes::from_static(&[0; SECOND])))
        }
    }

    #[tokio::test]
    async fn what_is_asked_for_again_is_taken_once() {
        let rates = serde_json::json!({"download": {"perSession": SECOND}});
        let rates: TransferRates = serde_json::from_value(rates).unwrap();
        let (_, throttle) = Throttles::new(&rates, &Throttled::default()).session("ada");
        let mut output = Output {
            output: Box::new(Pieces),
            throttle: throttle.unwrap(),
            held: None,
        };
        let begun = now();
        let takes = async {
            for _ in 0..3 {
                for _ in 0..10 {
                    assert!(streams::Output::next(&mut output).now_or_never().is_none());
                }
                let event = streams::Output::next(&mut output).await.unwrap();
                assert!(matches!(event, Event::Stdout(bytes) if bytes.len() == SECOND));
            }
        };
        let clock = async {
            while now() < begun + Duration::from_secs(9) {
                run().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = takes => {}
            () = clock => panic!("it was taken more than once"),
        }
    }
}
