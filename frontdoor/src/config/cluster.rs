//! The `cluster` of the configuration: what is kept in memory of the cluster's objects, in bytes, how
//! often one user may make this frontdoor ask the API server, and for how long users get the same pod.

use std::ops::RangeInclusive;
use std::time::Duration;

use podgate_process::config::Invalid;
use serde::Deserialize;

/// Checked bounds. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct ClusterBounds {
    pub pod_bytes: usize,
    pub selector_bytes: usize,
    pub uid_bytes: usize,
    pub lookups_per_user_per_minute: u32,
    pub affinity: Duration,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    pod_bytes: u32,
    selector_bytes: u32,
    uid_bytes: u32,
    lookups_per_user_per_minute: u32,
    affinity_seconds: u32,
}

impl Default for File {
    fn default() -> Self {
        Self {
            pod_bytes: 4096,
            selector_bytes: 4096,
            uid_bytes: 64,
            lookups_per_user_per_minute: 6000,
            affinity_seconds: 0,
        }
    }
}

const MIB: u32 = 1024 * 1024;
const DAY: u32 = 24 * 3600;

impl File {
    /// Checks each value against its range. An error names the key.
    pub(super) fn check(self) -> Result<ClusterBounds, Invalid> {
        let table: [(&str, u32, RangeInclusive<u32>); 5] = [
            ("cluster.podBytes", self.pod_bytes, 0..=2 * MIB),
            ("cluster.selectorBytes", self.selector_bytes, 0..=2 * MIB),
            // From the length of a UUID to what an agent takes.
            ("cluster.uidBytes", self.uid_bytes, 36..=253),
            (
                "cluster.lookupsPerUserPerMinute",
                self.lookups_per_user_per_minute,
                1..=1_000_000,
            ),
            (
                "cluster.affinitySeconds",
                self.affinity_seconds,
                0..=30 * DAY,
            ),
        ];
        if let Some((key, value, range)) = table.into_iter().find(|(_, v, r)| !r.contains(v)) {
            let (least, most) = range.into_inner();
            let reason = format!("must be from {least} to {most}, and is {value}");
            return Err(Invalid::new(key, reason));
        }
        Ok(ClusterBounds {
            pod_bytes: self.pod_bytes as usize,
            selector_bytes: self.selector_bytes as usize,
            uid_bytes: self.uid_bytes as usize,
            lookups_per_user_per_minute: self.lookups_per_user_per_minute,
            affinity: Duration::from_secs(self.affinity_seconds.into()),
        })
    }
}

#[cfg(test)]
impl Default for ClusterBounds {
    fn default() -> Self {
        File::default().check().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_its_range_is_named() {
        let check = |change: fn(&mut File), expect: &str| {
            let mut file = File::default();
            change(&mut file);
            let error = file.check().err().map(|invalid| invalid.to_string());
            assert!(error.unwrap_or_default().contains(expect), "{expect}");
        };
        check(
            |f| f.pod_bytes = u32::MAX,
            "cluster.podBytes: must be from 0 to 2097152",
        );
        check(|f| f.selector_bytes = u32::MAX, "cluster.selectorBytes: ");
        check(
            |f| f.affinity_seconds = u32::MAX,
            "cluster.affinitySeconds: ",
        );
        check(|f| f.uid_bytes = 35, "cluster.uidBytes: ");
        check(
            |f| f.lookups_per_user_per_minute = 0,
            "cluster.lookupsPerUserPerMinute: ",
        );
    }
}
