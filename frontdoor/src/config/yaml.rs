//! A configuration's file: YAML, parsed and checked as a whole, and one line for what is wrong.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a file is no configuration: one line that names the key or value.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Yaml { path: PathBuf, reason: String },
    #[error("{path}: {key}: {reason}")]
    Value {
        path: PathBuf,
        key: &'static str,
        reason: String,
    },
}

/// Reads a file as YAML, and checks what it says.
pub(crate) fn read<F: DeserializeOwned, C>(
    path: &Path,
    check: impl FnOnce(F) -> Result<C, (&'static str, String)>,
) -> Result<C, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let file = parse(&text).map_err(|reason| Error::Yaml {
        path: path.to_owned(),
        reason,
    })?;
    check(file).map_err(|(key, reason)| Error::Value {
        path: path.to_owned(),
        key,
        reason,
    })
}

/// Parses YAML; an error is one line with the key's path.
pub(crate) fn parse<F: DeserializeOwned>(yaml: &str) -> Result<F, String> {
    let mut key = String::new();
    let parsed = serde_saphyr::with_deserializer_from_str(yaml, |yaml| {
        serde_path_to_error::deserialize(yaml).map_err(|error| {
            key = format!("{}: ", error.path());
            error.into_inner()
        })
    });
    parsed.map_err(|error| {
        // The lines that follow the first draw the place.
        let reason = error.to_string();
        let reason = reason.lines().next().unwrap_or_default();
        format!("{key}{}", reason.trim_start_matches("error: "))
    })
}
