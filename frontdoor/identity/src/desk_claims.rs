//! How a certificate from the signer's desk names its holder: principals for the user and the groups,
//! and an extension with the rest. Other servers do not know the extension, and ignore it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::{Identity, Source};

/// The extension's name, in the form for vendors (PROTOCOL.certkeys, Extensions).
pub const EXTENSION: &str = "identity@podgate";

/// The prefix of the user's principal. It keeps names of users apart from names of groups.
pub const USER_PRINCIPAL: &str = "user:";

/// The prefix of each group's principal.
pub const GROUP_PRINCIPAL: &str = "group:";

/// Why an extension is not one of the desk's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("its extension {EXTENSION} cannot be read: {0}")]
pub struct Error(String);

/// The extension's value, JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeskClaims {
    source: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Vec<String>>,
}

impl DeskClaims {
    /// The claims for an identity that the desk has verified.
    pub fn of(identity: &Identity) -> Self {
        Self {
            source: identity.source.as_str().to_owned(),
            extra: identity.extra.clone(),
        }
    }

    /// Reads a certificate's extension: the identity's `extra`, and its source.
    pub fn read(text: &str) -> Result<(BTreeMap<String, Vec<String>>, Source), Error> {
        let read: Self = serde_json::from_str(text).map_err(|error| Error(error.to_string()))?;
        let source = [Source::Kubernetes, Source::Oidc]
            .into_iter()
            .find(|source| source.as_str() == read.source)
            .ok_or_else(|| Error(format!("{:?} is no source of the desk", read.source)))?;
        Ok((read.extra, source))
    }
}

impl std::fmt::Display for DeskClaims {
    /// The extension's value.
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
        let found = DeskClaims::read(&DeskClaims::of(&identity).to_string()).unwrap();
        assert_eq!(found, (identity.extra.clone(), Source::Kubernetes));
        identity.extra.clear();
        identity.source = Source::Oidc;
        let text = DeskClaims::of(&identity).to_string();
        assert_eq!(text, r#"{"source":"oidc"}"#);
        assert!(DeskClaims::read(&text).is_ok());
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
            assert!(DeskClaims::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/desk_claims"
        );
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            // Whatever it is, it is read or refused.
            let _ = DeskClaims::read(&String::from_utf8_lossy(&bytes));
            seen += 1;
        }
        assert!(seen > 0, "the corpus is gone");
    }
}
