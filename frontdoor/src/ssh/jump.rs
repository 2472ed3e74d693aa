//! `ssh -J frontdoor web-0.prod`: a connection inside a channel of another, to a target that the channel
//! names. Nobody is let in inside but the user of the outer login, who proves it again, and what
//! restricts either login holds.

use std::sync::Arc;

use russh::server::Msg;
use russh::{Channel, ChannelOpenFailure};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Client};
use super::tunnel::Tunnel;
use crate::authn::Login;
use crate::places::{Full, Start};
use crate::target::{self, Container, Pod, Target};

/// The one port that a target has: ssh's default.
const PORT: u32 = 22;

/// Where a connection that runs inside another leads.
pub(super) struct Jump {
    /// Who made the outer connection, by what.
    pub(super) outer: Login,
    /// As a login name.
    pub(super) target: String,
}

/// Why there is no connection to where a client wants to jump.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this is a jump already")]
    Nested,
    #[error("only port 22 of a target can be reached")]
    Port,
    #[error("this login may not be used to go there (permitopen)")]
    PermitOpen,
    #[error("{0}")]
    Target(#[from] target::Error),
    #[error("{0}")]
    Full(#[from] Full),
}

impl From<Refusal> for ChannelOpenFailure {
    /// With the reason, which ssh prints (RFC 4254 §5.1).
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Nested | Refusal::Port | Refusal::PermitOpen => {
                Self::AdministrativelyProhibited
            }
            Refusal::Target(_) => Self::ConnectFailed,
            Refusal::Full(_) => Self::ResourceShortage,
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
    #[error("it is {inner}'s, and the jump {outer}'s")]
    User { inner: String, outer: String },
    #[error("it forces another command than the jump's")]
    Command,
}

impl Jump {
    /// Reads where a channel is to lead. By its words alone: nothing is looked up.
    pub(super) fn parse(
        client: &Client,
        login: &Login,
        host: &str,
        port: u32,
    ) -> Result<Self, Refusal> {
        if client.jump.is_some() {
            return Err(Refusal::Nested);
        }
        if port != PORT {
            return Err(Refusal::Port);
        }
        if !login.restrictions.may_jump(host, PORT as u16) {
            return Err(Refusal::PermitOpen);
        }
        let sessions = &client.worker.sessions;
        let target = without_suffix(host, &sessions.jump_suffix);
        Target::parse(target, &sessions.default_namespace)?;
        Ok(Self {
            outer: login.clone(),
            target: target.to_owned(),
        })
    }

    /// What the inner login comes to: its user must be the outer's, and what restricts either holds.
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

/// A host name without the suffix by which users' ssh_config knows that it is a pod's.
fn without_suffix<'a>(host: &'a str, suffix: &str) -> &'a str {
    let bare = host.strip_suffix(suffix);
    let bare = bare.and_then(|bare| bare.strip_suffix('.'));
    bare.filter(|bare| !bare.is_empty() && !suffix.is_empty())
        .unwrap_or(host)
}

/// Serves SSH inside a channel, to the end of either.
pub(super) async fn serve(
    channel: Channel<Msg>,
    outer: Arc<Client>,
    jump: Jump,
    start: Start,
    closed: CancellationToken,
) {
    let (read, write) = channel.split();
    let cut = closed.child_token();
    let stream = Tunnel::new(read, write.make_writer(), &cut);
    let (worker, revoked) = (Arc::clone(&outer.worker), outer.revoked.child_token());
    match Client::new(outer.peer, worker, revoked, Some(jump)) {
        Ok(client) => {
            let (client, metrics) = (Arc::new(client), &outer.worker.metrics);
            metrics.jumps.inc();
            let grace = sleep(outer.worker.limits.login_grace);
            tokio::pin!(grace);
            connection::converse(stream, &client, grace, start, || cut.cancel()).await;
            metrics.jumps.dec();
        }
        Err(error) => tracing::error!(%error, "no random numbers"),
    }
    // The channel may be gone, and is then closed already.
    let _ = write.eof().await;
    // First, so that a client that hears of the end may open the next.
    closed.cancel();
    let _ = write.close().await;
}

/// The container that a jump leads to: what its target names; else the inner login name, if the pod has
/// one of that name (ssh sends its user's own name, if none is given); else the one by default. Who may
/// have meant another is told which.
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
