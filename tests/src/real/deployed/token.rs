//! Tokens of pods' ServiceAccounts. The API server knows a token before the pod has it.

use serde_json::json;

use crate::stand_ins::apiserver::{API_AUDIENCE, ApiServer, Token};
use crate::stand_ins::issuer::unsigned;

/// Whose the tokens are: a pod of a ServiceAccount, on a node (KEP-4193).
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    /// The API server that learns of each token.
    pub(super) api: &'a ApiServer,
    /// The pod's namespace.
    pub(super) namespace: &'a str,
    /// The pod's ServiceAccount.
    pub(super) account: &'a str,
    /// The pod's name.
    pub(super) pod: &'a str,
    /// The pod's UID.
    pub(super) uid: &'a str,
    /// The pod's node.
    pub(super) node: &'a str,
}

impl Tokens<'_> {
    /// A new token for an audience; without one, for the API server.
    pub(super) fn issue(&self, audience: Option<&str>) -> String {
        let mut token = Token::service_account(self.namespace, self.account)
            .extra("authentication.kubernetes.io/pod-name", &[self.pod])
            .extra("authentication.kubernetes.io/pod-uid", &[self.uid])
            .extra("authentication.kubernetes.io/node-name", &[self.node]);
        if let Some(audience) = audience {
            token = token.audience(audience);
        }
        let audiences = [audience.unwrap_or(API_AUDIENCE)];
        let bearer = unsigned(&json!({"aud": audiences, "sub": self.uid}));
        self.api.add_token(&bearer, token);
        bearer
    }
}
