//! The `audit` of a configuration: where the log goes, and what happens while it cannot be written.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::Invalid;

/// The least size of a queue, in bytes. The longest line, escaped and within its bounds, is shorter.
const MIN_QUEUE: usize = 128 * 1024;

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the lines go.
    pub to: To,
    /// What happens while lines cannot be written.
    pub on_failure: OnFailure,
    /// Bytes of lines that wait to be written.
    pub queue: usize,
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Nowhere: nothing is recorded.
    Nowhere,
    /// Standard output, to which nothing else is written.
    Stdout,
    /// A file. It is opened again when another file takes its path.
    File(PathBuf),
}

/// What happens while lines cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// No session begins.
    Deny,
    /// Sessions begin. Lines without room in the queue are lost, and counted.
    Continue,
}

/// The settings as a configuration has them. The example configurations explain each.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct File {
    to: String,
    on_failure: OnFailure,
    queue_bytes: usize,
}

impl Default for File {
    fn default() -> Self {
        Self {
            to: "stdout".to_owned(),
            on_failure: OnFailure::Deny,
            queue_bytes: 4 * 1024 * 1024,
        }
    }
}

impl File {
    /// Checks them.
    pub fn check(self) -> Result<Config, Invalid> {
        let to = match self.to.as_str() {
            "none" => To::Nowhere,
            "stdout" => To::Stdout,
            path if path.starts_with('/') => To::File(path.into()),
            other => {
                let reason = format!("{other:?} must be stdout, none or an absolute path");
                return Err(Invalid::new("audit.to", reason));
            }
        };
        if self.queue_bytes < MIN_QUEUE {
            let reason = format!("{} is less than {MIN_QUEUE}", self.queue_bytes);
            return Err(Invalid::new("audit.queueBytes", reason));
        }
        Ok(Config {
            to,
            on_failure: self.on_failure,
            queue: self.queue_bytes,
        })
    }
}
