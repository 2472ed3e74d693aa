//! Where the key of passes is: in a file, or in a Secret that frontdoors and the page's program share.

use std::path::PathBuf;

use kube::Client;
use serde::Deserialize;

use super::object::{self, fill_secret, patiently};
use super::reference::Reference;
use crate::pass::{self, PassKey};

/// The Secret's entry.
const ENTRY: &str = "key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0}: {1}")]
    Key(String, pass::Error),
    #[error(transparent)]
    Object(#[from] object::Error),
    #[error("no key can be made: {0}")]
    Make(#[from] pass::Error),
    #[error("{0} has no entry {ENTRY}")]
    Entry(Reference),
}

/// Where it is, as a configuration has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeySource {
    /// In a Secret. If it is empty, the first program that comes fills it.
    Secret(Reference),
    /// In a file: 32 random bytes in base64.
    File(PathBuf),
}

impl KeySource {
    /// Whether the API server is asked.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// Reads the key once.
    pub async fn load(&self, client: &Client) -> Result<PassKey, Error> {
        match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| Error::Read(path.clone(), error))?;
                let key = PassKey::parse(&text);
                key.map_err(|error| Error::Key(path.display().to_string(), error))
            }
            Self::Secret(secret) => {
                let fill = || Ok([(ENTRY.to_owned(), PassKey::make()?.into_bytes())].into());
                let ask = async || fill_secret::<Error>(client, secret, fill).await;
                let data = patiently(ask).await?;
                let text = data.get(ENTRY);
                let text = text.ok_or_else(|| Error::Entry(secret.clone()))?;
                let key = PassKey::parse(&String::from_utf8_lossy(text));
                key.map_err(|error| Error::Key(secret.to_string(), error))
            }
        }
    }
}
