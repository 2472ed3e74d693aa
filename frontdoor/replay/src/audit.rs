//! Who signed in and who read which recording, as docs/audit.md explains it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use podgate_identity::pass::Pass;
use serde::Serialize;

/// The schema's version, the same as the frontdoor's.
const VERSION: u32 = 1;
/// Bytes of all groups, and of all that is `extra`, as in the frontdoor's log.
const MAX_LIST: usize = 4096;

/// One event.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    v: u32,
    time: String,
    event: &'static str,
    outcome: &'static str,
    /// The session in which the link was made, or the visit itself after a token.
    session: &'a str,
    user: &'a str,
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a BTreeMap<String, Vec<String>>>,
    source: &'static str,
    client: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<&'a str>,
    /// The names of fields that were shortened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cut: Vec<&'static str>,
}

impl<'a> Event<'a> {
    fn new(event: &'static str, outcome: &'static str, pass: &'a Pass, client: SocketAddr) -> Self {
        let (groups, extra) = (&pass.identity.groups, &pass.identity.extra);
        let mut bytes = 0;
        let kept = groups.iter().take_while(|group| {
            bytes += group.len();
            bytes <= MAX_LIST
        });
        let groups_kept = groups.get(..kept.count()).unwrap_or_default();
        let values = extra
            .iter()
            .flat_map(|(key, values)| values.iter().chain([key]));
        let long = values.map(String::len).sum::<usize>() > MAX_LIST;
        let cut = [
            (groups_kept.len() < groups.len(), "groups"),
            (long, "extra"),
        ];
        let cut = cut.into_iter().filter_map(|(is, name)| is.then_some(name));
        Self {
            v: VERSION,
            time: format!("{:.3}", Timestamp::now()),
            event,
            outcome,
            session: &pass.session,
            user: &pass.identity.user,
            groups: groups_kept,
            extra: (!long && !extra.is_empty()).then_some(extra),
            source: pass.identity.source.as_str(),
            client,
            namespace: None,
            recording: None,
            cut: cut.collect(),
        }
    }

    /// Somebody signed in by a link or a token.
    pub(crate) fn entered(how: &'static str, pass: &'a Pass, client: SocketAddr) -> Self {
        Self::new("enter", how, pass, client)
    }

    /// Somebody reads a recording. `how` is a fixed word.
    pub(crate) fn watched(
        how: &'static str,
        pass: &'a Pass,
        client: SocketAddr,
        (recording, namespace): (&'a str, &'a str),
    ) -> Self {
        let mut event = Self::new("watch", how, pass, client);
        (event.recording, event.namespace) = (Some(recording), Some(namespace));
        event
    }
}
