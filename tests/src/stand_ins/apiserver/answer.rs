//! Answers in kube-apiserver's words: objects, and `v1.Status` for what fails.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use serde_json::{Value, json};

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Answer = Response<Body>;

/// A `v1.Status` of a failure (apimachinery, `api/errors`).
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Null for none.
    pub(super) details: Value,
    /// Null for none but `{}`.
    pub(super) metadata: Value,
}

impl Failure {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
            metadata: json!({}),
        }
    }

    pub(super) fn with(self, details: Value) -> Self {
        Self { details, ..self }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn not_found() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(404, "NotFound", message).with(json!({}))
    }

    pub(super) fn absent(group: &str, resource: &str, name: &str) -> Self {
        let (of_group, details) = match group {
            "" => (resource.to_owned(), json!({"name": name, "kind": resource})),
            group => (
                format!("{resource}.{group}"),
                json!({"name": name, "group": group, "kind": resource}),
            ),
        };
        Self::new(404, "NotFound", format!("{of_group} \"{name}\" not found")).with(details)
    }

    pub(super) fn not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).with(json!({}))
    }

    pub(super) fn internal(message: &str) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::new(500, "InternalError", message).with(json!({}))
    }

    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// What is wrong with an object, by field.
    pub(super) fn invalid(group: &str, kind: &str, field: &str, wrong: &str) -> Self {
        let message = format!("{kind}.{group} \"\" is invalid: {field}: {wrong}");
        Self::new(422, "Invalid", message).with(json!({
            "group": group, "kind": kind, "causes": [{"message": wrong, "field": field}],
        }))
    }

    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if let (Some(status), false) = (status.as_object_mut(), self.details.is_null()) {
            status.insert("details".to_owned(), self.details.clone());
        }
        status
    }

    pub(super) fn answer(&self) -> Answer {
        object(self.code, &self.status())
    }
}

/// An object as JSON, with the end of line that Go's encoder writes.
pub(super) fn object(code: u16, object: &impl Serialize) -> Answer {
    match serde_json::to_vec(object) {
        Ok(mut json) => {
            json.push(b'\n');
            answer(code, "application/json", Full::from(json).boxed_unsync())
        }
        Err(error) => Failure::internal(&error.to_string()).answer(),
    }
}

/// JSON that is written already.
pub(super) fn json(body: Body) -> Answer {
    answer(200, "application/json", body)
}

/// A body of one object and an end of line.
pub(super) fn line(json: Bytes) -> Body {
    Full::from([&json[..], b"\n"].concat()).boxed_unsync()
}

pub(super) fn text(code: u16, text: &'static str) -> Answer {
    let body = Full::from(text).boxed_unsync();
    answer(code, "text/plain; charset=utf-8", body)
}

/// What API Priority and Fairness answers when there is too much to do
/// (apiserver, `pkg/server/filters/priority-and-fairness.go`).
pub(super) fn too_many_requests(retry_after: u32) -> Answer {
    let mut answer = text(429, "Too many requests, please try again later.\n");
    let headers = answer.headers_mut();
    headers.insert(header::RETRY_AFTER, retry_after.into());
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    answer
}

fn answer(code: u16, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    let fresh = HeaderValue::from_static("no-cache, private");
    headers.insert(header::CACHE_CONTROL, fresh);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
