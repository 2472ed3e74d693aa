//! One event as a line of JSON. Texts from clients are bounded, and marked if they were cut.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use podgate_proto::v1::Action;
use podgate_recording::Sealed;
use serde::Serialize;

use super::command::{MAX_COMMAND, Program};
use super::files::{FileDone, Summed};
use super::refused_by::RefusedBy;
use podgate_identity::Identity;

/// The schema's version. Fields may be added to it; what is there keeps its meaning.
const VERSION: u32 = 1;
/// Bytes of all groups, and of all that is `extra`.
const MAX_LIST: usize = 4096;
/// Bytes of any other text.
const MAX_TEXT: usize = 512;

/// How a client reaches the frontdoor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Via {
    /// A connection to the frontdoor.
    Direct,
    /// A connection inside another (`ssh -J`).
    Jump,
}

/// What happened. docs/audit.md explains the fields.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event<'a> {
    v: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<BTreeMap<&'a str, Vec<&'a str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    way: Option<Via>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    originator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tty: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_sha256: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_last_sha256: Option<&'a str>,
    /// The names of fields that were shortened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cut: Vec<&'static str>,
}

/// The container that a session is in, once that is known.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) node: String,
    pub(super) container: String,
}

impl<'a> Event<'a> {
    /// Somebody logged in.
    pub(crate) fn accepted(identity: &'a Identity, credential: &'a str) -> Self {
        let mut event = Self::new("login").identity(identity);
        event.outcome = Some("accepted");
        event.credential = Some(event.text("credential", credential));
        event
    }

    /// A login failed. `credential` is what was proved, if anything.
    pub(crate) fn refused(credential: Option<&'a str>, reason: &'a str) -> Self {
        let mut event = Self::new("login");
        event.outcome = Some("refused");
        event.credential = credential.map(|text| event.text("credential", text));
        event.reason = Some(event.text("reason", reason));
        event
    }

    /// Somebody reads a recording. `how` is a fixed word.
    pub(crate) fn watched(
        identity: &'a Identity,
        session: &'a str,
        how: &'static str,
        (recording, namespace): (&'a str, &'a str),
    ) -> Self {
        let mut event = Self::new("watch").identity(identity);
        (event.session, event.outcome) = (Some(session), Some(how));
        (event.recording, event.namespace) = (Some(recording), Some(namespace));
        event
    }

    /// A channel was refused before the client asked for anything on it.
    pub(crate) fn channel_refused(identity: &'a Identity, reason: &'a str) -> Self {
        let event = Self::new("refusal").identity(identity);
        event.refusal(RefusedBy::Limit.as_str(), reason)
    }

    /// A client may not listen on this connection.
    pub(crate) fn listener_refused(identity: &'a Identity, reason: &'a str) -> Self {
        Self {
            action: Some(Action::Listen.word()),
            ..Self::channel_refused(identity, reason)
        }
    }

    /// Adds the client's address, how it got here, and the login name.
    pub(crate) fn from(mut self, client: SocketAddr, via: Via, target: &'a str) -> Self {
        (self.client, self.way) = (Some(client), Some(via));
        self.target = Some(self.text("target", target));
        self
    }

    pub(super) fn session(
        event: &'static str,
        id: &'a str,
        action: Action,
        identity: &'a Identity,
        location: Option<&'a Location>,
    ) -> Self {
        let mut event = Self::new(event).identity(identity);
        event.session = Some(id);
        event.action = Some(action.word());
        if let Some(location) = location {
            event.namespace = Some(&location.namespace);
            event.pod = Some(&location.pod);
            event.uid = Some(&location.uid);
            event.node = Some(&location.node);
            event.container = Some(&location.container);
        }
        event
    }

    /// Adds the program. Without a command it is a shell.
    pub(super) fn program(mut self, program: &'a Program) -> Self {
        let Program {
            command,
            asked,
            tty,
        } = program;
        if let Some(command) = command {
            self.command = Some(self.bound("command", command.text(), MAX_COMMAND));
            (self.command_bytes, self.command_sha256) = command.whole().unzip();
        }
        if let Some(asked) = asked {
            self.asked = Some(self.bound("asked", asked.text(), MAX_COMMAND));
            (self.asked_bytes, self.asked_sha256) = asked.whole().unzip();
        }
        self.tty = Some(*tty);
        self
    }

    /// Adds what a forward leads to in the pod, or where it listens, and who has connected there.
    pub(super) fn address(mut self, address: &'a str, originator: Option<&'a str>) -> Self {
        self.address = Some(self.text("address", address));
        self.originator = originator.map(|text| self.text("originator", text));
        self
    }

    /// Adds how the session is recorded, where, and the hashes of the whole recording.
    pub(super) fn recording(
        mut self,
        how: Option<&'static str>,
        recording: Option<&'a str>,
        whole: Option<&'a Sealed>,
    ) -> Self {
        (self.recorded, self.recording) = (how, recording);
        self.recording_sha256 = whole.map(|sealed| sealed.whole.sha256.as_str());
        self.recording_last_sha256 = whole.and_then(|sealed| sealed.last.as_deref());
        self
    }

    /// Adds what was done with a file.
    pub(super) fn file(mut self, file: &'a FileDone) -> Self {
        self.path = Some(&file.path);
        self.direction = Some(file.direction.word());
        self.outcome = Some(file.outcome);
        self.file_bytes = Some(file.bytes);
        let whole = file.outcome == "done";
        self.sha256 = whole.then(|| file.hash.hex(file.bytes)).flatten();
        self.duration_ms = Some(millis(file.begun.elapsed()));
        self
    }

    /// Adds files that have no event of their own.
    pub(super) fn files(mut self, summed: Summed) -> Self {
        self.files = Some(summed.files);
        self.failed_files = Some(summed.failed);
        self.file_bytes = Some(summed.bytes);
        self
    }

    pub(super) fn refusal(mut self, by: &'static str, reason: &'a str) -> Self {
        self.by = Some(by);
        self.reason = Some(self.text("reason", reason));
        self
    }

    pub(super) fn end(
        mut self,
        outcome: &'static str,
        status: Option<u32>,
        reason: Option<&'a str>,
        (input, output): (u64, u64),
        duration: Duration,
    ) -> Self {
        self.outcome = Some(outcome);
        self.exit_status = status;
        self.reason = reason.map(|reason| self.text("reason", reason));
        (self.input_bytes, self.output_bytes) = (Some(input), Some(output));
        self.duration_ms = Some(millis(duration));
        self
    }

    fn new(event: &'static str) -> Self {
        Self {
            v: VERSION,
            time: format!("{:.3}", jiff::Timestamp::now()),
            event,
            ..Self::default()
        }
    }

    fn identity(mut self, identity: &'a Identity) -> Self {
        self.user = Some(self.text("user", &identity.user));
        let mut left = MAX_LIST;
        self.groups = Some(self.list("groups", &identity.groups, &mut left));
        let mut left = MAX_LIST;
        let mut extra = BTreeMap::new();
        for (key, values) in &identity.extra {
            match left.checked_sub(key.len() + 1) {
                Some(rest) => left = rest,
                None => {
                    self.mark("extra");
                    break;
                }
            }
            extra.insert(key.as_str(), self.list("extra", values, &mut left));
        }
        self.extra = (!identity.extra.is_empty()).then_some(extra);
        self.source = Some(identity.source.as_str());
        self
    }

    fn text(&mut self, field: &'static str, text: &'a str) -> &'a str {
        self.bound(field, text, MAX_TEXT)
    }

    fn bound(&mut self, field: &'static str, text: &'a str, most: usize) -> &'a str {
        let end = text.floor_char_boundary(most);
        if end < text.len() {
            self.mark(field);
        }
        text.get(..end).unwrap_or_default()
    }

    /// Takes as many of these as there is room for, each whole. Empty ones take room, too.
    fn list(&mut self, field: &'static str, all: &'a [String], left: &mut usize) -> Vec<&'a str> {
        let mut list = Vec::new();
        for text in all {
            let Some(rest) = left.checked_sub(text.len() + 1) else {
                self.mark(field);
                break;
            };
            *left = rest;
            list.push(text.as_str());
        }
        list
    }

    fn mark(&mut self, field: &'static str) {
        if !self.cut.contains(&field) {
            self.cut.push(field);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
