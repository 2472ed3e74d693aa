//! Asks the API server whether somebody may do something (SubjectAccessReview).

use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};

use super::answer::{SHORT_TIMEOUT, Unanswered, within};
use crate::identity::Identity;

/// The group of all who have logged in.
const AUTHENTICATED: &str = "system:authenticated";

/// The groups of an identity, as the API server's own authenticators give them.
pub fn groups(identity: &Identity) -> Vec<String> {
    let mut groups = identity.groups.clone();
    if !groups.iter().any(|group| group == AUTHENTICATED) {
        groups.push(AUTHENTICATED.to_owned());
    }
    groups
}

/// Whether they may.
pub async fn may(client: &Client, spec: SubjectAccessReviewSpec) -> Result<bool, Unanswered> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let post = PostParams::default();
    let review = SubjectAccessReview {
        spec,
        ..SubjectAccessReview::default()
    };
    let answer = within(SHORT_TIMEOUT, || reviews.create(&post, &review)).await?;
    let status = answer.status.unwrap_or_default();
    // A webhook's denial overrides another authorizer's permission (SubjectAccessReviewStatus).
    Ok(status.allowed && !status.denied.unwrap_or_default())
}
