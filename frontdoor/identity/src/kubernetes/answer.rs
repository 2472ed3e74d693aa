//! An answer of the API server within a time limit, or the reason why there is none.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// The limit if an earlier answer can serve instead, or if another question follows this one.
pub const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// The pauses before a server that was too busy is asked again.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(600),
];
/// Too many requests.
const BUSY: u16 = 429;
/// Statuses of servers and proxies that may answer in a moment. kube's own retries use the same.
const PASSING: [u16; 3] = [BUSY, 503, 504];

/// Why a question has no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Unanswered {
    #[error("the API server could not be asked: {}", chain(.0))]
    Ask(Arc<kube::Error>),
    #[error("the API server did not answer within {0:?}")]
    Timeout(Duration),
}

impl Unanswered {
    /// Whether the API server said that it has too much to do (429).
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Ask(error) if code(error) == Some(BUSY))
    }

    /// Whether the API server did not decide. A refusal is a decision, unless the server is only too
    /// busy (429).
    pub fn is_away(&self) -> bool {
        match self {
            Self::Ask(error) => {
                !matches!(&**error, kube::Error::Api(status) if status.code < 500 && status.code != 429)
            }
            Self::Timeout(_) => true,
        }
    }
}

/// An error with its causes. A name that cannot be resolved is the last of several.
fn chain(error: &kube::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Waits for a whole answer, up to a limit. A server that is too busy for now, or its proxy, is asked a
/// few times.
pub async fn within<T, A>(limit: Duration, mut ask: impl FnMut() -> A) -> Result<T, Unanswered>
where
    A: Future<Output = Result<T, kube::Error>>,
{
    let asking = async {
        for pause in PAUSES {
            match ask().await {
                Err(error) if code(&error).is_some_and(|code| PASSING.contains(&code)) => {
                    sleep(pause).await;
                }
                answer => return answer,
            }
        }
        ask().await
    };
    match timeout(limit, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Unanswered::Ask(Arc::new(error))),
        Err(_) => Err(Unanswered::Timeout(limit)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_refusal_is_an_answer() {
        for (code, away) in [
            (403, false),
            (400, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let status = Status::failure("no", "no").with_code(code);
            let error = kube::Error::Api(Box::new(status));
            let unanswered = Unanswered::Ask(Arc::new(error));
            assert_eq!(unanswered.is_away(), away, "{code}");
            assert_eq!(unanswered.is_busy(), code == 429, "{code}");
        }
        assert!(Unanswered::Timeout(SHORT_TIMEOUT).is_away());
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_a_few_times() {
        let check = async |codes: &[u16], expect: Result<(), u16>, times: usize| {
            let mut asked = 0;
            let answer = within(SHORT_TIMEOUT, || {
                let failure = codes.get(asked).map(|code| {
                    let status = Status::failure("no", "no").with_code(*code);
                    kube::Error::Api(Box::new(status))
                });
                asked += 1;
                async move { failure.map_or(Ok(()), Err) }
            });
            let answer = answer.await.map_err(|unanswered| match unanswered {
                Unanswered::Ask(error) => super::code(&error).unwrap(),
                Unanswered::Timeout(_) => 0,
            });
            assert_eq!((answer, asked), (expect, times), "{codes:?}");
        };
        check(&[], Ok(()), 1).await;
        check(&[429], Ok(()), 2).await;
        check(&[429, 503, 504, 429, 429], Err(429), 4).await;
        check(&[403], Err(403), 1).await;
        check(&[429, 500], Err(500), 2).await;
    }
}
