//! The `authorization` of the configuration: how long answers of Kubernetes are kept.

use std::time::Duration;

use serde::Deserialize;

/// Checked times. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Authorization {
    pub allowed: Duration,
    pub denied: Duration,
    pub outage: Duration,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    allowed_seconds: u32,
    denied_seconds: u32,
    outage_seconds: u32,
}

impl Default for File {
    fn default() -> Self {
        Self {
            allowed_seconds: 60,
            denied_seconds: 5,
            outage_seconds: 600,
        }
    }
}

impl File {
    pub(super) fn check(self) -> Authorization {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Authorization {
            allowed: seconds(self.allowed_seconds),
            denied: seconds(self.denied_seconds),
            outage: seconds(self.outage_seconds),
        }
    }
}
