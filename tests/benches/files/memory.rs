//! What transfers take of memory, over all processes.

use anyhow::Result;
use podgate_tests::instruments::bench::verdict;

use crate::beside::transfers;
use crate::stage::Stage;

/// Bytes of a transfer, at most.
const MOST: u64 = 16 << 20;
/// Of these many bytes each transfer has at least one more look.
const MIB: f64 = (1 << 20) as f64;

/// Four transfers at once, and how much more each takes than the parts have without.
pub(crate) async fn print(stage: &Stage) -> Result<()> {
    let before = peak(stage)?;
    let running = transfers(stage).await?;
    // As long as it takes to move what all windows hold, many times over.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let (grown, worker) = (peak(stage)?.saturating_sub(before), workers()?);
    let each = grown / running.len() as u64 + worker;
    let (grown, worker) = (grown as f64 / MIB, worker as f64 / MIB);
    println!();
    println!("| memory of 4 transfers | | target | |");
    println!("|---|---|---|---|");
    println!("| frontdoor and agent, grown by | {grown:.1} MiB | | |");
    println!("| a worker, at most | {worker:.1} MiB | | |");
    let verdict = verdict(each <= MOST);
    let each = each as f64 / MIB;
    println!("| a transfer, all processes | {each:.1} MiB | at most 16 MiB | {verdict} |");
    Ok(())
}

/// What frontdoor and agent have had at most since the last look.
fn peak(stage: &Stage) -> Result<u64> {
    let (frontdoor, agent) = (&stage.stand.frontdoor, &stage.stand.agent);
    let peak = frontdoor.peak()? + agent.peak()?;
    frontdoor.reset_peak()?;
    agent.reset_peak()?;
    Ok(peak)
}

/// What one worker has had at most.
fn workers() -> Result<u64> {
    let mut most = 0;
    for process in std::fs::read_dir("/proc")?.flatten() {
        // What is no process, or has ended, has none.
        let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        if field("Name:").map(str::trim) == Some("podgate-worker") {
            let kib = field("VmHWM:").and_then(|line| line.trim().strip_suffix(" kB"));
            most = most.max(kib.map_or(Ok(0), str::parse::<u64>)? * 1024);
        }
    }
    Ok(most)
}
