//! Who calls: bearer tokens and their users, for requests and for token reviews.

use std::collections::HashMap;

use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus, UserInfo};

/// The audience of a token that names none: the server itself.
pub const API_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";
const AUTHENTICATED: &str = "system:authenticated";
/// The group whose members may do everything (apiserver, `pkg/authentication/user`).
pub(super) const MASTERS: &str = "system:masters";

/// What a bearer token says: whose it is, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Token {
    user: UserInfo,
    audiences: Vec<String>,
}

impl Token {
    /// A token of this user, for the API server alone and with no group but
    /// `system:authenticated`.
    pub fn of(user: &str) -> Self {
        let user = UserInfo {
            username: Some(user.to_owned()),
            groups: Some(vec![AUTHENTICATED.to_owned()]),
            ..UserInfo::default()
        };
        Self {
            user,
            audiences: Vec::new(),
        }
    }

    /// A token of a ServiceAccount, in the groups of one.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::of(&format!("system:serviceaccount:{namespace}:{name}"))
            .group("system:serviceaccounts")
            .group(&format!("system:serviceaccounts:{namespace}"))
    }

    /// One group more.
    #[must_use]
    pub fn group(mut self, group: &str) -> Self {
        let groups = self.user.groups.get_or_insert_default();
        // The group that every user has is the last.
        groups.insert(groups.len().saturating_sub(1), group.to_owned());
        self
    }

    /// The user's UID.
    #[must_use]
    pub fn uid(mut self, uid: &str) -> Self {
        self.user.uid = Some(uid.to_owned());
        self
    }

    /// What else is known of the user, as `authentication.kubernetes.io/pod-name`.
    #[must_use]
    pub fn extra(mut self, key: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let extra = self.user.extra.get_or_insert_default();
        extra.insert(key.to_owned(), values);
        self
    }

    /// For whom it is; the first takes the place of the API server.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.to_owned());
        self
    }

    fn audiences(&self) -> Vec<&str> {
        if self.audiences.is_empty() {
            return vec![API_AUDIENCE];
        }
        self.audiences.iter().map(String::as_str).collect()
    }
}

/// A user as authorization sees one.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

impl Caller {
    /// The caller with a client certificate. Its organizations are not read.
    pub(super) fn named(name: String) -> Self {
        let groups = vec![AUTHENTICATED.to_owned()];
        Self { name, groups }
    }
}

/// The tokens that are accepted.
#[derive(Default)]
pub(super) struct Tokens(HashMap<String, Token>);

impl Tokens {
    pub(super) fn add(&mut self, bearer: &str, token: Token) {
        self.0.insert(bearer.to_owned(), token);
    }

    pub(super) fn remove(&mut self, bearer: &str) {
        self.0.remove(bearer);
    }

    /// Replaces the tokens of those who may do everything.
    pub(super) fn set_masters(&mut self, bearers: &[&str]) {
        let master = |token: &Token| {
            let groups = token.user.groups.iter().flatten();
            groups.into_iter().any(|group| group == MASTERS)
        };
        self.0.retain(|_, token| !master(token));
        for bearer in bearers {
            self.add(bearer, Token::of("stand").group(MASTERS));
        }
    }

    pub(super) fn caller(&self, bearer: &str) -> Option<Caller> {
        let token = self.0.get(bearer)?;
        token.audiences().contains(&API_AUDIENCE).then(|| Caller {
            name: token.user.username.clone().unwrap_or_default(),
            groups: token.user.groups.clone().unwrap_or_default(),
        })
    }

    /// As `TokenReview` says it (kube-apiserver, `pkg/registry/authentication/tokenreview`).
    pub(super) fn review(&self, spec: &TokenReviewSpec) -> TokenReviewStatus {
        let refused = |error: String| TokenReviewStatus {
            error: Some(error),
            user: Some(UserInfo::default()),
            ..TokenReviewStatus::default()
        };
        let invalid = "invalid bearer token";
        let Some(token) = self.0.get(&spec.token) else {
            return refused(invalid.to_owned());
        };
        let asked = match spec.audiences.as_deref() {
            None | Some([]) => vec![API_AUDIENCE.to_owned()],
            Some(asked) => asked.to_vec(),
        };
        let has = token.audiences();
        let both = asked.iter().filter(|one| has.contains(&one.as_str()));
        let both: Vec<String> = both.cloned().collect();
        if both.is_empty() {
            // Go's %q of a list.
            let (has, asked) = (quoted(&has), quoted(&asked));
            return refused(format!(
                "[{invalid}, token audiences {has} is invalid for the target audiences {asked}]"
            ));
        }
        TokenReviewStatus {
            audiences: Some(both),
            authenticated: Some(true),
            error: None,
            user: Some(token.user.clone()),
        }
    }
}

fn quoted<T: AsRef<str>>(all: &[T]) -> String {
    let all: Vec<_> = all
        .iter()
        .map(|one| format!("{:?}", one.as_ref()))
        .collect();
    format!("[{}]", all.join(" "))
}
