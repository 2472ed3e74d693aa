//! Who acts on a connection, and to which pod the login name leads.

use std::net::SocketAddr;
use std::sync::Arc;

use podgate_identity::Identity;

use super::client::Client;
use crate::agents::Ids;
use crate::audit::Via;
use crate::authn::restrictions::Restrictions;
use crate::login_name::{Error, Target};

/// What every task of a connection begins with.
#[derive(Clone)]
pub(super) struct Actor {
    pub(super) client: Arc<Client>,
    pub(super) identity: Arc<Identity>,
    pub(super) restrictions: Arc<Restrictions>,
    /// The login name, which says where to.
    pub(super) login_name: String,
    /// In a jump, the login name of the inner connection, which may name a container.
    pub(super) inner: Option<String>,
}

impl Actor {
    /// Where it comes from, for the audit log.
    pub(super) fn from(&self) -> (SocketAddr, Via, &str) {
        (self.client.peer, self.client.via, &self.login_name)
    }

    /// Where to.
    pub(super) fn target(&self) -> Result<Target, Error> {
        let namespace = &self.client.context.sessions.default_namespace;
        Target::parse(&self.login_name, namespace)
    }

    /// The ids of a session of its connection.
    pub(super) fn ids<'a>(&'a self, session: &'a str) -> Ids<'a> {
        Ids {
            session,
            connection: &self.client.id,
        }
    }
}
