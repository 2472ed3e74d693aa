//! Why something is not shown, in the words that its visitor reads.

use podgate_recording::{Broken, Encrypted, NoEnd};

use super::places::Full;
use crate::rights;

/// Why.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no such recording that you may see")]
    Unknown,
    #[error(transparent)]
    Rights(#[from] rights::Error),
    #[error("{}", store(.0))]
    Store(#[from] podgate_recording::Error),
    #[error("the recording was changed: {0}")]
    Broken(#[from] Broken),
    #[error("the recording was changed: {0}")]
    NoEnd(NoEnd),
    #[error(transparent)]
    Encrypted(#[from] Encrypted),
    #[error("the recording cannot be read: {0}")]
    Cast(#[from] podgate_recording::cast::Error),
    #[error("this page cannot write its audit log, so it shows no recording")]
    Audit,
    #[error(
        "the store of recordings or the Kubernetes API server did not answer in time; try again"
    )]
    Late,
    #[error(transparent)]
    Full(#[from] Full),
    #[error("you may see this recording no longer")]
    NoLonger,
}

impl Error {
    /// The key of the limit that refused it.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Rights(rights::Error::TooMany) => Some("lookupsPerUserPerMinute"),
            Self::Full(full) => Some(full.limit()),
            _ => None,
        }
    }

    /// Logs what no visitor can help.
    pub(crate) fn log(&self, what: &'static str) {
        match self {
            Self::Store(error) => tracing::warn!(%error, what, "the store"),
            Self::Broken(_) | Self::NoEnd(_) | Self::Cast(_) | Self::Audit | Self::Late => {
                tracing::warn!(error = %self, what);
            }
            _ => tracing::debug!(error = %self, what),
        }
    }
}

/// What a visitor reads of the store. Its addresses and credentials are for the log.
fn store(error: &podgate_recording::Error) -> String {
    match error {
        podgate_recording::Error::Missing(_) => format!("the recording was changed: {error}"),
        podgate_recording::Error::Long(_) => {
            "the recording has an object that is too long".to_owned()
        }
        _ => "the store of recordings does not answer; try again in a moment".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_does_not_read_where_the_store_is() {
        let error = Error::from(podgate_recording::Error::Url("s3://secret".to_owned()));
        assert!(!error.to_string().contains("secret"), "{error}");
        let missing = Error::from(podgate_recording::Error::Missing(7)).to_string();
        assert!(missing.contains("chunk 7"), "{missing}");
    }
}
