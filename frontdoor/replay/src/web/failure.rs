//! Why a request has no answer: a status and a page with one sentence.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::html::{page, text};
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
                show::Error::Broken(_) | show::Error::Encrypted(_) | show::Error::Cast(_) => {
                    StatusCode::CONFLICT
                }
                show::Error::Rights(rights::Error::TooMany) | show::Error::Followers(_) => {
                    StatusCode::TOO_MANY_REQUESTS
                }
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Nothing => StatusCode::NOT_FOUND,
            Self::Elsewhere => StatusCode::FORBIDDEN,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
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
