//! Decides whether a session may start: checks the link's version, the form of the request, and the
//! grant, which must be for the action that is asked for.

use std::time::SystemTime;

use podgate_proto::limits::{self, LINK_VERSIONS};
use podgate_proto::v1::{Action, Exec, Identity, Open, WorkingDirectory, open};

use crate::files::FilesRequest;
use crate::forward::ForwardRequest;
use crate::grant::{self, Deny, Granted};
use crate::refusal::Refusal;

/// A session that may begin.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) id: String,
    /// The client's SSH connection.
    pub(crate) connection: String,
    pub(crate) identity: Identity,
    pub(crate) granted: Granted,
    /// The link's version in this session.
    pub(crate) version: u32,
    pub(crate) served: Served,
}

/// An action that this agent serves.
#[derive(Debug)]
pub(crate) enum Served {
    Exec(Exec, WorkingDirectory),
    Files(FilesRequest, WorkingDirectory),
    Forward(ForwardRequest),
}

impl Served {
    /// Of a forward: where to in the pod, or where a listener is to be.
    pub(crate) fn address(&self) -> Option<String> {
        match self {
            Self::Forward(request) => request.address(),
            Self::Exec(..) | Self::Files(..) => None,
        }
    }

    pub(crate) fn kind(&self) -> Action {
        match self {
            Self::Exec(..) => Action::Exec,
            Self::Files(..) => Action::Files,
            Self::Forward(request) => request.kind(),
        }
    }
}

/// Checks a request, whose session id was checked before, against this node's name and rules.
pub(crate) fn admit(open: Open, node: &str, deny: &Deny) -> Result<Admitted, Refusal> {
    let theirs = open.versions.unwrap_or_default();
    let version = limits::agree(&LINK_VERSIONS, &(theirs.lowest..=theirs.highest));
    let version = version.ok_or_else(|| Refusal::version(&open.release, &theirs))?;
    if !is_id(&open.connection_id) {
        return Err(Refusal::protocol(
            "the connection's id is not 32 hex digits",
        ));
    }
    let folder = open.working_directory();
    let Some(action) = open.action else {
        return Err(Refusal::protocol("the frontdoor asked for no action"));
    };
    let (kind, now) = (action.kind(), SystemTime::now());
    let rights = open.grant.as_ref().and_then(|grant| grant.files);
    let checked = grant::check(open.grant, kind, node, deny, now);
    let (granted, identity) = checked.map_err(Refusal::from)?;
    let served = match action {
        open::Action::Exec(exec) => Served::Exec(exec, folder),
        open::Action::Files(files) => Served::Files(FilesRequest::check(files, rights)?, folder),
        action => {
            let request = ForwardRequest::check(action).ok_or_else(Refusal::unsupported)?;
            Served::Forward(request.map_err(|error| Refusal::protocol(&error.to_string()))?)
        }
    };
    Ok(Admitted {
        id: open.session_id,
        connection: open.connection_id,
        identity,
        granted,
        version,
        served,
    })
}

/// Whether it is 32 lower-case hex digits.
pub(crate) fn is_id(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == 32 && text.bytes().all(hex)
}
