//! Reading a configuration: a YAML file, parsed and checked as a whole. An error is one line that names
//! the file, and the key if one is wrong.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::log;

/// A file is not a configuration.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{path}: {reason}")]
    Read {
        path: PathBuf,
        reason: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Yaml { path: PathBuf, reason: String },
    #[error("{path}: {reason}")]
    Invalid { path: PathBuf, reason: Invalid },
}

/// A key whose value cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct Invalid {
    /// The key with those above it, as in `audit.to`.
    pub key: &'static str,
    /// What is wrong with the value.
    pub reason: String,
}

impl Invalid {
    /// `reason` completes a sentence that begins with the key.
    pub fn new(key: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { key, reason }
    }
}

/// A program's checked configuration.
pub trait Configuration: Sized {
    /// Reads and checks a file.
    fn read(path: &Path) -> Result<Self, Error>;

    /// Its part for the log.
    fn log(&self) -> &log::Config;
}

/// Reads a file as YAML, and checks its values.
pub fn read<F: DeserializeOwned, C>(
    path: &Path,
    check: impl FnOnce(F) -> Result<C, Invalid>,
) -> Result<C, Error> {
    let text = std::fs::read_to_string(path).map_err(|reason| Error::Read {
        path: path.to_owned(),
        reason,
    })?;
    let file = parse(&text).map_err(|reason| Error::Yaml {
        path: path.to_owned(),
        reason,
    })?;
    check(file).map_err(|reason| Error::Invalid {
        path: path.to_owned(),
        reason,
    })
}

/// Parses YAML. An error is one line that begins with the key's path.
pub fn parse<F: DeserializeOwned>(yaml: &str) -> Result<F, String> {
    let mut key = String::new();
    let parsed = serde_saphyr::with_deserializer_from_str(yaml, |yaml| {
        serde_path_to_error::deserialize(yaml).map_err(|error| {
            key = format!("{}: ", error.path());
            error.into_inner()
        })
    });
    parsed.map_err(|error| {
        // The lines after the first show the place in the file as a drawing.
        let reason = error.to_string();
        let reason = reason.lines().next().unwrap_or_default();
        format!("{key}{}", reason.trim_start_matches("error: "))
    })
}
