//! Why a request has no answer: a status and a page with one sentence.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use podgate_recording::Error as Store;

use super::html::{page, text};
use crate::show::Full;
use crate::{entry, rights, show};

/// Why.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Entry(#[from] entry::Error),
    #[error(transparent)]
    Show(#[from] show::Error),
    #[error("there is nothing here")]
    Nothing,
    #[error("this request did not come from this page")]
    Elsewhere,
    #[error(
        "recordings are sent by HTTP/1.1 alone: by HTTP/1.0 nobody can tell a part of one from the whole"
    )]
    Version,
}

/// Whatever has no other handler.
pub(super) async fn nothing() -> Response {
    Failure::Nothing.into_response()
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Entry(error) => match error {
                entry::Error::Gone => StatusCode::GONE,
                entry::Error::SignedOut => StatusCode::UNAUTHORIZED,
                entry::Error::Rate => StatusCode::TOO_MANY_REQUESTS,
                error if error.outcome() == "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::FORBIDDEN,
            },
            Self::Show(error) => match error {
                show::Error::Unknown => StatusCode::NOT_FOUND,
                show::Error::Broken(_)
                | show::Error::NoEnd(_)
                | show::Error::Encrypted(_)
                | show::Error::Cast(_)
                | show::Error::Store(Store::Missing(_) | Store::Long(_)) => StatusCode::CONFLICT,
                show::Error::Rights(rights::Error::TooMany)
                | show::Error::Full(Full::Own { .. }) => StatusCode::TOO_MANY_REQUESTS,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Nothing => StatusCode::NOT_FOUND,
            Self::Elsewhere => StatusCode::FORBIDDEN,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match &self {
            Self::Entry(entry::Error::Store(error)) => tracing::warn!(%error, "the store"),
            Self::Show(error) => error.log("a request failed"),
            _ => {}
        }
        let (status, sentence) = (self.status(), text(&self.to_string()));
        let body = format!("<p class=failure>{sentence}.</p>\n<p><a href=/>Recordings</a></p>");
        let mut response = page(status, "Recordings", None, &body);
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::{Kind, Places};

    #[test]
    fn whoever_has_too_much_is_told_so_and_when_to_try_again() {
        let full = |all, each| {
            let places = Places::new(Kind::STREAMS, all, each, Default::default());
            let _place = places.take("ada").unwrap();
            let full = places.take("ada").unwrap_err();
            Failure::from(show::Error::from(full)).into_response()
        };
        for (response, expect) in [(full(1, 2), 503), (full(2, 1), 429)] {
            assert_eq!(response.status().as_u16(), expect);
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
    }
}
