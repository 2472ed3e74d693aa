//! Makes an identity from the verified claims of an id token, as kube-apiserver does
//! (`plugin/pkg/auth/authenticator/token/oidc`). Distributed claims are not resolved.

use std::collections::BTreeMap;

use podgate_identity::{Identity, NameError, Names, Source};
use serde_json::{Map, Value};

/// Why claims name nobody.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(in crate::desk) enum Error {
    #[error("the token's claim {0} is missing or not a text")]
    User(String),
    #[error("the token's e-mail address is not verified")]
    Email,
    #[error("the token's claim {0} is neither a text nor a list of texts")]
    Groups(String),
    #[error("the token's claim {0} is missing or does not have the required value")]
    Required(String),
    #[error("{0}")]
    Names(#[from] NameError),
}

/// Which claims mean what, by the names of kube-apiserver's flags.
#[derive(Clone, Debug)]
pub(in crate::desk) struct Mapping {
    pub(in crate::desk) username_claim: String,
    pub(in crate::desk) groups_claim: Option<String>,
    pub(in crate::desk) required: BTreeMap<String, String>,
    /// With the prefixes.
    pub(in crate::desk) names: Names,
}

impl Mapping {
    pub(super) fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, Error> {
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        for (claim, value) in &self.required {
            if text(claim) != Some(value) {
                return Err(Error::Required(claim.clone()));
            }
        }
        let user = text(&self.username_claim);
        let user = user.ok_or_else(|| Error::User(self.username_claim.clone()))?;
        // A user who can choose an address could be anybody. If the issuer does not say whether an
        // address is verified, it is accepted, as by kube-apiserver.
        if self.username_claim == "email"
            && claims
                .get("email_verified")
                .is_some_and(|verified| *verified != Value::Bool(true))
        {
            return Err(Error::Email);
        }
        let groups = match &self.groups_claim {
            None => vec![],
            Some(claim) => groups(claims.get(claim)).ok_or_else(|| Error::Groups(claim.clone()))?,
        };
        let extra = BTreeMap::new();
        let identity = self.names.identity(user, &groups, extra, Source::Oidc);
        Ok(identity?)
    }
}

fn groups(claim: Option<&Value>) -> Option<Vec<String>> {
    match claim {
        None | Some(Value::Null) => Some(vec![]),
        Some(Value::String(one)) => Some(vec![one.clone()]),
        Some(Value::Array(all)) => all
            .iter()
            .map(|one| one.as_str().map(str::to_owned))
            .collect(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mapping(username_claim: &str, user_prefix: &str, group_prefix: &str) -> Mapping {
        Mapping {
            username_claim: username_claim.to_owned(),
            groups_claim: Some("groups".to_owned()),
            required: BTreeMap::new(),
            names: Names {
                user_prefix: user_prefix.to_owned(),
                group_prefix: group_prefix.to_owned(),
                trust_system: false,
            },
        }
    }

    fn of(mapping: &Mapping, claims: Value) -> Result<(String, Vec<String>), Error> {
        let found = mapping.identity(claims.as_object().unwrap())?;
        Ok((found.user, found.groups))
    }

    #[test]
    fn claims_become_names() {
        let plain = mapping("sub", "", "");
        let check = |mapping: &Mapping, claims: Value, user: &str, groups: &[&str]| {
            let groups = groups.iter().map(|&group| group.to_owned()).collect();
            assert_eq!(of(mapping, claims), Ok((user.to_owned(), groups)));
        };
        check(&plain, json!({"sub": "ada"}), "ada", &[]);
        check(&plain, json!({"sub": "ada", "groups": null}), "ada", &[]);
        check(&plain, json!({"sub": "ada", "groups": "a"}), "ada", &["a"]);
        let prefixed = mapping("sub", "https://idp#", "idp:");
        let claims = json!({"sub": "ada", "groups": ["a", "system:masters"]});
        check(
            &prefixed,
            claims,
            "https://idp#ada",
            &["idp:a", "idp:system:masters"],
        );
        let email = mapping("email", "", "");
        let claims = json!({"email": "a@b", "email_verified": true});
        check(&email, claims, "a@b", &[]);
        check(&email, json!({"email": "a@b"}), "a@b", &[]);
        let named = json!({"sub": "x", "email_verified": false});
        check(&plain, named, "x", &[]);
        let mut required = plain.clone();
        required.required.insert("hd".to_owned(), "b".to_owned());
        check(&required, json!({"sub": "x", "hd": "b"}), "x", &[]);
        for claims in [json!({"sub": "x"}), json!({"sub": "x", "hd": ["b"]})] {
            assert_eq!(of(&required, claims), Err(Error::Required("hd".into())));
        }
    }

    #[test]
    fn claims_that_name_nobody() {
        let plain = mapping("sub", "", "");
        let user = || Error::User("sub".into());
        let groups = || Error::Groups("groups".into());
        let names = |error| Error::Names(error);
        for (claims, expect) in [
            (json!({}), user()),
            (json!({"sub": 7}), user()),
            (json!({"sub": ["ada"]}), user()),
            (json!({"sub": ""}), names(NameError::Empty)),
            (
                json!({"sub": "system:admin"}),
                names(NameError::System("system:admin".into())),
            ),
            (
                json!({"sub": "ada", "groups": ["system:masters"]}),
                names(NameError::System("system:masters".into())),
            ),
            (json!({"sub": "ada", "groups": [7]}), groups()),
            (json!({"sub": "ada", "groups": {"a": "b"}}), groups()),
        ] {
            assert_eq!(of(&plain, claims.clone()), Err(expect), "{claims}");
        }
        let email = mapping("email", "", "");
        for verified in [json!(false), json!("true"), json!(null)] {
            let claims = json!({"email": "a@b", "email_verified": verified});
            assert_eq!(of(&email, claims), Err(Error::Email));
        }
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/oidc_claims"
        );
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            // Whatever it is, it names somebody or is refused.
            if let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(&bytes) {
                let _ = mapping("sub", "", "").identity(&claims);
            }
            seen += 1;
        }
        assert!(seen > 0, "the corpus is gone");
    }
}
