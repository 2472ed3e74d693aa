//! A frontdoor that lists the cluster: at its start, and again after its watch has missed something.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use podgate_tests::fixtures::stand::Stand;
use podgate_tests::instruments::eventually::eventually;

use crate::pods;
use crate::table::{MEMORY, resident, row};

/// For a frontdoor to know the cluster.
const READY: Duration = Duration::from_secs(300);

/// Starts the frontdoor, and waits until it is ready.
pub(crate) async fn first(stand: &mut Stand) -> Result<()> {
    let begun = Instant::now();
    stand.restart_frontdoor().await?;
    let stand = &*stand;
    let most = std::cell::Cell::new(0.0_f64);
    let ready = || async {
        most.set(most.get().max(resident(stand).unwrap_or_default()));
        let (status, _) = stand.frontdoor.admin("/readyz").await.ok()?;
        (status == 200).then_some(())
    };
    eventually("readiness", READY, ready).await?;
    let took = begun.elapsed().as_secs_f64();
    let used = stand.frontdoor.cpu()?.as_secs_f64();
    row(
        "from an empty cache to ready",
        &format!("{took:.1} s, {used:.1} s of a core"),
        "",
    );
    let most = format!("{:.0} MiB at the most", most.get());
    row("its memory meanwhile", &most, MEMORY);
    Ok(())
}

/// Makes a watch miss a change.
pub(crate) async fn again(stand: &Stand) -> Result<()> {
    eprintln!("cluster: list …");
    let lists = stand.api.requests("list", "pods");
    let watches = stand.api.requests("watch", "pods");
    stand.api.hold_watches(true);
    stand.cluster.add(pods::one(0, 1000));
    stand.cluster.compact();
    stand.api.end_watches();
    stand.api.hold_watches(false);
    let mut most = 0.0_f64;
    let listed = || {
        most = most.max(resident(stand).unwrap_or_default());
        // The watch that is told to list again, and the one after the list.
        let done = stand.api.requests("watch", "pods") >= watches + 2;
        std::future::ready(done.then_some(()))
    };
    eventually("a list and a watch after it", READY, listed).await?;
    ensure!(stand.api.requests("list", "pods") > lists, "no list");
    let most = format!("{most:.0} MiB at the most");
    row(
        "all listed anew, while the cache serves: memory",
        &most,
        MEMORY,
    );
    Ok(())
}
