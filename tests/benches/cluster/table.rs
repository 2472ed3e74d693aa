//! The table that is printed, and the frontdoor's memory for it.

use anyhow::Result;
use podgate_tests::fixtures::stand::Stand;

pub(crate) const MIB: f64 = 1024.0 * 1024.0;
/// The target for memory.
pub(crate) const MEMORY: &str = "≤ 150 MiB";

pub(crate) fn row(what: &str, much: &str, target: &str) {
    println!("| {what} | {much} | {target} |");
}

/// The frontdoor's memory, in MiB.
pub(crate) fn resident(stand: &Stand) -> Result<f64> {
    Ok(stand.frontdoor.resident()? as f64 / MIB)
}
