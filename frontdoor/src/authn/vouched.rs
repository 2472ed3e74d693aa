//! What the signer's desk says in a certificate beside its principals: by what it knew the user, and
//! what else it knows of them. Other servers pass over it, as over any extension they do not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::{Identity, Source};

/// The extension's name, as a vendor's has to be (PROTOCOL.certkeys, Extensions).
pub(crate) const EXTENSION: &str = "identity@podgate";

/// What a user's principal begins with, so that no name can be taken for a group's.
pub(crate) const USER_PRINCIPAL: &str = "user:";

/// Why an extension is none of the desk's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("its extension {EXTENSION} cannot be read: {0}")]
pub struct Error(String);

/// The extension's value, JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vouched {
    source: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Vec<String>>,
}

impl Vouched {
    /// What is to be said of an identity that the desk knows.
    pub(crate) fn of(identity: &Identity) -> Self {
        Self {
            source: identity.source.as_str().to_owned(),
            extra: identity.extra.clone(),
        }
    }

    /// What a certificate's extension says.
    pub(super) fn read(text: &str) -> Result<(BTreeMap<String, Vec<String>>, Source), Error> {
        let read: Self = serde_json::from_str(text).map_err(|error| Error(error.to_string()))?;
        let source = [Source::Kubernetes, Source::Oidc]
            .into_iter()
            .find(|source| source.as_str() == read.source)
            .ok_or_else(|| Error(format!("{:?} is no source of the desk", read.source)))?;
        Ok((read.extra, source))
    }
}

impl std::fmt::Display for Vouched {
    /// As it stands in a certificate.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| std::fmt::Error)?;
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut identity = Identity {
            user: "ada".to_owned(),
            groups: vec![],
            extra: BTreeMap::from([("example.com/team".to_owned(), vec!["a".to_owned()])]),
            source: Source::Kubernetes,
        };
        let found = Vouched::read(&Vouched::of(&identity).to_string()).unwrap();
        assert_eq!(found, (identity.extra.clone(), Source::Kubernetes));
        identity.extra.clear();
        identity.source = Source::Oidc;
        let text = Vouched::of(&identity).to_string();
        assert_eq!(text, r#"{"source":"oidc"}"#);
        assert!(Vouched::read(&text).is_ok());
    }

    #[test]
    fn what_else_stands_there_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"source":"key"}"#,
            r#"{"source":"oidc","groups":["x"]}"#,
            r#"{"source":"oidc","extra":{"a":"b"}}"#,
        ] {
            assert!(Vouched::read(text).is_err(), "{text}");
        }
    }
}
