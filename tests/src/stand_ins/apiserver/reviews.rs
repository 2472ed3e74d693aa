//! Reviews: a client asks who a token's user is, or what somebody may do.

use http::Request;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SubjectAccessReview, SubjectAccessReviewStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Failure, object};
use super::asked::Asked;
use super::callers::{Caller, Tokens};
use super::rbac::Rbac;

const AUTHORIZATION: &str = "authorization.k8s.io/v1";
/// Of a request's body, as kube-apiserver allows it.
const BODY: usize = 3 * 1024 * 1024;

/// In the order of kube-apiserver's JSON.
#[derive(Serialize)]
struct Review<S, T> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: ObjectMeta,
    spec: S,
    status: T,
}

/// Reads what was posted.
pub(super) async fn posted<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::bad_request(format!("the object provided is unrecognized: {error}"))
    };
    let body = Limited::new(request.into_body(), BODY).collect().await;
    let body = body.map_err(|error| wrong(&error))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| wrong(&error))
}

pub(super) fn token(review: TokenReview, tokens: &Tokens) -> Result<Answer, Failure> {
    if review.spec.token.is_empty() {
        return Err(Failure::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let status = tokens.review(&review.spec);
    Ok(created(Review {
        kind: "TokenReview",
        api_version: "authentication.k8s.io/v1",
        metadata: review.metadata,
        spec: review.spec,
        status,
    }))
}

pub(super) fn subject(review: SubjectAccessReview, rbac: &Rbac) -> Result<Answer, Failure> {
    let (kind, spec) = ("SubjectAccessReview", review.spec);
    let caller = Caller {
        name: spec.user.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
    };
    if caller.name.is_empty() && caller.groups.is_empty() {
        let wrong = "Invalid value: \"\": at least one of user or group must be specified";
        return Err(invalid(kind, "spec.user", wrong));
    }
    let paths = spec.non_resource_attributes.is_some();
    let status = decide(
        kind,
        rbac,
        &caller,
        spec.resource_attributes.as_ref(),
        paths,
    )?;
    Ok(created(Review {
        kind,
        api_version: AUTHORIZATION,
        metadata: review.metadata,
        spec,
        status,
    }))
}

pub(super) fn own(
    review: SelfSubjectAccessReview,
    rbac: &Rbac,
    caller: &Caller,
) -> Result<Answer, Failure> {
    let (kind, spec) = ("SelfSubjectAccessReview", review.spec);
    let paths = spec.non_resource_attributes.is_some();
    let status = decide(kind, rbac, caller, spec.resource_attributes.as_ref(), paths)?;
    Ok(created(Review {
        kind,
        api_version: AUTHORIZATION,
        metadata: review.metadata,
        spec,
        status,
    }))
}

fn decide(
    kind: &str,
    rbac: &Rbac,
    caller: &Caller,
    resource: Option<&ResourceAttributes>,
    paths: bool,
) -> Result<SubjectAccessReviewStatus, Failure> {
    let asked = match (resource, paths) {
        (Some(resource), false) => asked(resource),
        // This server has no rules for paths.
        (None, true) => Asked::default(),
        (None, false) => {
            let wrong = "Invalid value: null: exactly one of nonResourceAttributes or \
                         resourceAttributes must be specified";
            return Err(invalid(kind, "spec.resourceAttributes", wrong));
        }
        (Some(_), true) => {
            let wrong = "Invalid value: cannot be specified in combination with resourceAttributes";
            return Err(invalid(kind, "spec.nonResourceAttributes", wrong));
        }
    };
    let decision = rbac.decide(caller, &asked);
    Ok(SubjectAccessReviewStatus {
        allowed: decision.allowed,
        reason: (!decision.reason.is_empty()).then_some(decision.reason),
        ..SubjectAccessReviewStatus::default()
    })
}

fn asked(attributes: &ResourceAttributes) -> Asked {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let resource = text(&attributes.resource);
    Asked {
        verb: text(&attributes.verb),
        group: text(&attributes.group),
        namespace: text(&attributes.namespace),
        resource: match text(&attributes.subresource).as_str() {
            "" => resource,
            subresource => format!("{resource}/{subresource}"),
        },
        name: text(&attributes.name),
    }
}

fn invalid(kind: &str, field: &str, wrong: &str) -> Failure {
    Failure::invalid("authorization.k8s.io", kind, field, wrong)
}

fn created<S: Serialize, T: Serialize>(review: Review<S, T>) -> Answer {
    object(201, &review)
}
