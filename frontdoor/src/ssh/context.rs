//! What all connections of one core share.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agents::Agents;
use crate::audit::Audit;
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::config::{Forwards, Limits, Sessions};
use crate::metrics::Metrics;
use crate::quotas::Quotas;
use crate::recordings::Recordings;
use crate::route::Router;

use super::greetings::Greetings;
use super::host_identity::HostIdentity;
use super::key_exchanges::KeyExchanges;
use super::pre_auth_turns::PreAuthTurns;

#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) host: Arc<HostIdentity>,
    pub(crate) limits: Limits,
    pub(crate) quotas: Arc<Quotas>,
    /// Of this core.
    pub(crate) turns: PreAuthTurns,
    #[cfg_attr(
        stock_russh,
        allow(dead_code, reason = "the published russh computes them itself")
    )]
    pub(crate) key_exchanges: Arc<KeyExchanges>,
    pub(crate) sessions: Sessions,
    pub(crate) forwards: Forwards,
    pub(crate) greetings: Arc<Greetings>,
    pub(crate) authenticator: Arc<Authenticator>,
    /// How often a login is checked again.
    pub(crate) recheck: Duration,
    pub(crate) authorizer: Authorizer,
    pub(crate) router: Router,
    pub(crate) agents: Agents,
    pub(crate) audit: Arc<Audit>,
    pub(crate) recordings: Option<Arc<Recordings>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Cancelled when no session may begin any more.
    pub(crate) draining: CancellationToken,
    /// Cancelled when running sessions must end.
    pub(crate) stopped: CancellationToken,
}
