//! How long a frontdoor takes to find a target's pod, by its own clock.

use anyhow::{Result, ensure};
use podgate_tests::fixtures::stand::Stand;
use podgate_tests::instruments::client::Login;

use crate::pods;
use crate::table::row;
use crate::watched::leg;

/// How many sessions are measured.
const LOOKUPS: usize = 500;

pub(crate) async fn rows(stand: &Stand) -> Result<()> {
    let by_name = |at| {
        let (namespace, name) = pods::name(at);
        format!("{name}.{namespace}")
    };
    let by_labels = |at| format!("app={}.{}", pods::app(at), pods::name(at).0);
    let took = mean(stand, by_name).await?;
    row("to look up a pod, by name", &took, "microseconds");
    let took = mean(stand, by_labels).await?;
    let namespace = pods::PODS / pods::NAMESPACES;
    let what = format!("by labels, of a namespace's {namespace} pods");
    row(&what, &took, "");
    Ok(())
}

/// The mean time. The sessions end there, because their nodes have no agent.
async fn mean(stand: &Stand, target: impl Fn(usize) -> String) -> Result<String> {
    let before = leg(stand, "route").await?;
    for lookup in 0..LOOKUPS {
        let target = target(lookup * 7919 % pods::PODS);
        let connection = Login::to(stand, &target)?.connect().await?;
        let session = connection.exec("true").await?;
        // An error is expected.
        let _ = session.wait().await;
        connection.close().await;
    }
    let after = leg(stand, "route").await?;
    let count = after.0 - before.0;
    ensure!(count >= LOOKUPS as f64, "not all were looked up");
    Ok(format!("{:.1} µs", (after.1 - before.1) / count * 1e6))
}
