//! The `runtime` of the configuration: what starts programs.

use serde::Deserialize;

/// What starts programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The node entry where it is there and can, else the kubelet.
    #[default]
    Auto,
    /// The kubelet.
    Kubelet,
    /// The node entry, and nothing else.
    Direct,
}
