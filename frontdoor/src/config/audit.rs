//! The `audit` of the configuration: where the record of logins and sessions goes, and what holds while
//! it cannot be written.

use std::path::PathBuf;

use podgate_process::config::Invalid;
use serde::Deserialize;

/// The longest line with all its bounds, escaped, is below this; a queue must have room for it.
const MIN_QUEUE: usize = 128 * 1024;

/// Checked settings. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Audit {
    pub to: AuditTo,
    pub on_failure: OnFailure,
    /// Bytes of lines that wait to be written.
    pub queue: usize,
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTo {
    /// Nowhere: nothing is recorded.
    Nowhere,
    /// The process's standard output, where nothing else is written.
    Stdout,
    /// A file, opened anew where another stands at its path.
    File(PathBuf),
}

/// What holds while lines cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// No session begins.
    Deny,
    /// Sessions begin; what has no room is lost, and counted.
    Continue,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
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
    pub(super) fn check(self) -> Result<Audit, Invalid> {
        let to = match self.to.as_str() {
            "none" => AuditTo::Nowhere,
            "stdout" => AuditTo::Stdout,
            path if path.starts_with('/') => AuditTo::File(path.into()),
            other => {
                let reason = format!("{other:?} is neither stdout, none nor a path from the root");
                return Err(Invalid::new("audit.to", reason));
            }
        };
        if self.queue_bytes < MIN_QUEUE {
            let reason = format!("{} is not from {MIN_QUEUE}", self.queue_bytes);
            return Err(Invalid::new("audit.queueBytes", reason));
        }
        Ok(Audit {
            to,
            on_failure: self.on_failure,
            queue: self.queue_bytes,
        })
    }
}
