//! What is recorded, as lines of JSON. Names are bounded, and marked where they were cut.

use std::net::SocketAddr;
use std::time::Duration;

use podgate_process::mtls::FRONTDOOR_NAME;
use podgate_proto::v1::{Action, Identity};
use serde::Serialize;

use crate::grant::Granted;

/// The schema's version. Fields may be added to it; existing ones keep their meaning.
const VERSION: u32 = 1;
/// Bytes of the user's name, and of all groups.
const MAX_NAMES: usize = 4096;

/// A grant that is accepted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcceptedGrant<'a> {
    v: u32,
    time: String,
    event: &'static str,
    session: &'a str,
    user: &'a str,
    groups: Vec<&'a str>,
    source: &'a str,
    namespace: &'a str,
    pod: &'a str,
    uid: &'a str,
    container: &'a str,
    action: &'static str,
    /// What a forward is to lead to, or a listener to listen at.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    node: &'a str,
    frontdoor: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cut: Vec<&'static str>,
}

/// The end of what the grant allowed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ended<'a> {
    v: u32,
    time: String,
    event: &'static str,
    session: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u8>,
    /// What has run it; absent if nothing came to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'static str>,
    input_bytes: u64,
    output_bytes: u64,
    duration_ms: u64,
}

impl<'a> AcceptedGrant<'a> {
    pub(crate) fn new(
        session: &'a str,
        identity: &'a Identity,
        granted: &'a Granted,
        (action, address): (Action, Option<String>),
        (node, from): (&'a str, Option<SocketAddr>),
    ) -> Self {
        let mut cut = Vec::new();
        let mut bound = |field, text: &'a str| {
            let end = text.floor_char_boundary(MAX_NAMES);
            if end < text.len() {
                cut.push(field);
            }
            text.get(..end).unwrap_or_default()
        };
        let (user, source) = (
            bound("user", &identity.user),
            bound("source", &identity.source),
        );
        let mut left = MAX_NAMES;
        let mut groups = Vec::new();
        for group in &identity.groups {
            let Some(rest) = left.checked_sub(group.len() + 1) else {
                cut.push("groups");
                break;
            };
            left = rest;
            groups.push(group.as_str());
        }
        Self {
            v: VERSION,
            time: now(),
            event: "grant",
            session,
            user,
            groups,
            source,
            namespace: &granted.namespace,
            pod: &granted.pod,
            uid: &granted.uid,
            container: &granted.container,
            action: action.word(),
            address,
            node,
            frontdoor: FRONTDOOR_NAME,
            from,
            cut,
        }
    }
}

impl<'a> Ended<'a> {
    pub(crate) fn new(
        session: &'a str,
        (outcome, exit_status): (&'static str, Option<u8>),
        runtime: Option<&'static str>,
        (input, output): (u64, u64),
        duration: Duration,
    ) -> Self {
        Self {
            v: VERSION,
            time: now(),
            event: "end",
            session,
            outcome,
            exit_status,
            runtime,
            input_bytes: input,
            output_bytes: output,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
