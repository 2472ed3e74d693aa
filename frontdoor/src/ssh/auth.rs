//! A client's attempts to log in. The credential says who the client is. The login name only says where
//! to go, so any login name is let in.

use russh::server::{Auth, PublicKeyOffer};
use russh::{MethodKind, MethodSet};

use super::client::Client;
use crate::audit::Event;
use crate::authn::{Credential, Login, Verdict};

/// The attempts of one connection.
#[derive(Default)]
pub(super) struct Attempts {
    login_name: String,
    /// The credential that was proved first, if a login takes two.
    earlier: Vec<Credential>,
    failed: usize,
    /// Whether the client has asked for the methods.
    asked: bool,
}

impl Attempts {
    /// The login name of the last credential that was proved.
    pub(super) fn login_name(&self) -> &str {
        &self.login_name
    }

    /// The method "none", by which a client asks for the methods (RFC 4252 §5.2). As in sshd, the first
    /// does not count as an attempt.
    pub(super) fn none(&mut self, client: &Client) -> Auth {
        if std::mem::replace(&mut self.asked, true) {
            self.reject(client)
        } else {
            Auth::reject()
        }
    }

    /// A failed attempt. After the last, russh ends the connection at the next one.
    pub(super) fn reject(&mut self, client: &Client) -> Auth {
        self.failed += 1;
        if self.failed == client.context.limits.auth_tries {
            client.refused("authTries");
        }
        Auth::reject()
    }

    /// Whether attempts are left. russh counts too, but may not have told the client yet.
    fn are_left(&self, client: &Client) -> bool {
        self.failed < client.context.limits.auth_tries
    }

    /// The client has this key, and has not signed with it yet.
    pub(super) async fn offered(
        &mut self,
        client: &Client,
        login_name: &str,
        offer: &PublicKeyOffer<'_>,
    ) -> Auth {
        let (key, algorithm, peer) = (offer.public_key, offer.algorithm, client.peer.ip());
        let authenticator = &client.context.authenticator;
        authenticator.refresh().await;
        if self.are_left(client) && authenticator.offered(key, algorithm, peer) {
            return Auth::Accept;
        }
        let _ = client.tried.set(login_name.to_owned());
        self.reject(client)
    }

    /// A credential whose signature is right.
    pub(super) async fn verified(
        &mut self,
        client: &Client,
        login_name: &str,
        credential: Credential,
    ) -> Auth {
        if !self.are_left(client) {
            return self.reject(client);
        }
        // Two steps under different names are not one login (RFC 4252 §5).
        if self.login_name != login_name {
            self.earlier.clear();
            self.login_name = login_name.to_owned();
        }
        let peer = client.peer;
        let shown = credential.to_string();
        let authenticator = &client.context.authenticator;
        authenticator.refresh().await;
        match authenticator.verified(credential, &self.earlier, peer.ip()) {
            Verdict::Refused(reason) => {
                let reason = reason.to_string();
                tracing::info!(
                    credential = shown, reason, login = login_name, %peer, "login refused"
                );
                client.record(Event::refused(Some(&shown), &reason), login_name);
                self.reject(client)
            }
            Verdict::Partial(earlier) => {
                tracing::info!(credential = shown, login = login_name, %peer, "login in part");
                self.earlier = earlier;
                Auth::Reject {
                    proceed_with_methods: Some(MethodSet::from(&[MethodKind::PublicKey][..])),
                    partial_success: true,
                }
            }
            Verdict::Login(login) => self.let_in(client, login),
        }
    }

    /// In a jump, lets in only the user of the outer connection.
    fn let_in(&mut self, client: &Client, login: Login) -> Auth {
        let (name, peer) = (self.login_name.as_str(), client.peer);
        let jump = client.jump.as_ref();
        let to = jump.map(|jump| jump.target.as_str());
        let credential = login.proof.to_string();
        let login = match jump.map(|jump| jump.join(&login)) {
            None => login,
            Some(Ok(joined)) => joined,
            Some(Err(reason)) => {
                let reason = reason.to_string();
                tracing::info!(credential, reason, login = name, jump = to, %peer, "login refused");
                client.record(Event::refused(Some(&credential), &reason), name);
                return self.reject(client);
            }
        };
        let identity = &login.identity;
        let quotas = &client.context.quotas;
        let slot = match jump {
            None => quotas.connection(&identity.user).map(Some),
            Some(_) => Ok(None),
        };
        match &slot {
            Ok(_) => {
                tracing::info!(
                    user = identity.user, groups = ?identity.groups,
                    source = identity.source.as_str(), credential, login = name, jump = to, %peer,
                    "login"
                );
                client.context.metrics.login("accepted");
                client.record(Event::accepted(identity, &credential), name);
            }
            // The user is let in and told in their first session: SSH has no words for a failed login.
            Err(full) => {
                client.refused(full.limit());
                let reason = full.to_string();
                client.record(Event::refused(Some(&credential), &reason), name);
            }
        }
        // russh lets nobody log in twice.
        let _ = client.slot.set(slot);
        let _ = client.login.set(login);
        client.logged_in.cancel();
        Auth::Accept
    }
}
