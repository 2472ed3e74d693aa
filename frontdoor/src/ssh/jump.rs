//! `ssh -J frontdoor web-0.prod`: a channel that carries another SSH connection, to the target that the
//! channel names. The user of the outer login must log in again inside, and nobody else can. The
//! restrictions of both logins apply.

use std::sync::Arc;

use russh::ChannelOpenFailure;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Jump, JumpSlots};
use crate::authn::Login;
use crate::login_name::{self, Target};
use crate::pod::{Container, Pod};
use crate::quotas::Full;

/// The one port of every target: ssh's default.
pub(super) const PORT: u32 = 22;

/// Why a jump is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum JumpRefusal {
    #[error(
        "this connection's login name is no target, so only jumps are served: port 22 of a target"
    )]
    Port,
    #[error("this login may not be used to reach that host (permitopen)")]
    PermitOpen,
    #[error("{0}")]
    Target(#[from] login_name::Error),
    #[error("{0}")]
    Full(#[from] Full),
}

impl From<JumpRefusal> for ChannelOpenFailure {
    /// Adds the reason, which ssh prints (RFC 4254 §5.1).
    fn from(refusal: JumpRefusal) -> Self {
        let code = match refusal {
            JumpRefusal::Port | JumpRefusal::PermitOpen => Self::AdministrativelyProhibited,
            JumpRefusal::Target(_) => Self::ConnectFailed,
            JumpRefusal::Full(_) => Self::ResourceShortage,
        };
        Self::Other {
            code: code.code(),
            reason: refusal.to_string(),
        }
    }
}

/// Why the inner login does not let someone in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("it belongs to {inner}, but the jump belongs to {outer}")]
    User { inner: String, outer: String },
    #[error("it forces a different command than the jump")]
    Command,
}

impl Jump {
    /// Reads where a channel of `client` leads, without looking anything up.
    pub(super) fn parse(
        client: &Client,
        login: &Login,
        host: &str,
        port: u32,
    ) -> Result<Self, JumpRefusal> {
        if port != PORT {
            return Err(JumpRefusal::Port);
        }
        if !login.restrictions.may_jump(host, PORT as u16) {
            return Err(JumpRefusal::PermitOpen);
        }
        let sessions = &client.context.sessions;
        let target = without_suffix(host, &sessions.jump_suffix);
        Target::parse(target, &sessions.default_namespace)?;
        Ok(Self {
            outer: login.clone(),
            target: target.to_owned(),
        })
    }

    /// The inner login with the restrictions of both, if its user is the outer login's.
    pub(super) fn join(&self, inner: &Login) -> Result<Login, Mismatch> {
        let outer = &self.outer;
        if inner.identity.user != outer.identity.user {
            let (inner, outer) = (inner.identity.user.clone(), outer.identity.user.clone());
            return Err(Mismatch::User { inner, outer });
        }
        let (one, other) = (&*outer.restrictions, &*inner.restrictions);
        let both = one.clone().and(other.clone()).ok_or(Mismatch::Command)?;
        Ok(Login {
            restrictions: Arc::new(both),
            ..inner.clone()
        })
    }
}

/// A host name without the suffix that marks pods in users' ssh_config.
pub(super) fn without_suffix<'a>(host: &'a str, suffix: &str) -> &'a str {
    let bare = host.strip_suffix(suffix);
    let bare = bare.and_then(|bare| bare.strip_suffix('.'));
    bare.filter(|bare| !bare.is_empty() && !suffix.is_empty())
        .unwrap_or(host)
}

/// What the task of a jump's channel starts with.
pub(super) struct Task {
    /// The client of the outer connection.
    pub(super) outer: Arc<Client>,
    pub(super) jump: Jump,
    pub(super) slots: JumpSlots,
    /// Cancelled when the client closes the channel, or goes.
    pub(super) closed: CancellationToken,
}

/// The container that a jump leads to: the one that its target names; else the one that the inner login
/// name names, if the pod has it; else the default. Without a user name ssh sends the local one, so a
/// user may have meant another container, and is told which one it is.
pub(super) fn container(
    inner: &str,
    target: &Target,
    pod: &Pod,
    default: Container,
) -> (Container, Option<String>) {
    if target.container().is_some() {
        return (default, None);
    }
    let named = pod.containers.iter().find(|one| one.name == inner);
    let container = named.cloned().unwrap_or(default);
    let names: Vec<_> = pod.containers.iter().map(|one| one.name.as_str()).collect();
    let said = (names.len() > 1).then(|| {
        let (name, all) = (&container.name, names.join(", "));
        format!("container {name} of pod {}, which has {all}", pod.name)
    });
    (container, said)
}

#[cfg(test)]
mod tests;
