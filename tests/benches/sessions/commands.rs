//! `true`, run on an open connection and on a new one.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, Open, Via, either};
use crate::sizes::Sizes;
use crate::table::{Row, Times};

/// Rounds that are not counted. They make the first connections between the parts, and fill caches.
const WARM_UP: usize = 10;

async fn run_true(open: &Open) -> Result<()> {
    let running = open.start("true", false).await?;
    let (said, status) = either!(running, program => program.wait().await)?;
    ensure!(
        said.is_empty() && status == 0,
        "status {status}, {:?}",
        String::from_utf8_lossy(&said)
    );
    Ok(())
}

/// On an open SSH connection, so many times.
pub(crate) async fn on_open(bench: &Bench, runs: usize) -> Result<[Times; 3]> {
    let mut opened = Vec::new();
    for via in bench.vias(0) {
        opened.push((via, bench.open(via).await?, Times::default()));
    }
    for round in 0..WARM_UP + runs {
        let first = round % opened.len();
        for at in 0..opened.len() {
            let at = (first + at) % opened.len();
            let (via, open, times) = &mut opened[at];
            let begun = Instant::now();
            run_true(open).await.with_context(|| format!("{via:?}"))?;
            if round >= WARM_UP {
                times.push(begun.elapsed());
            }
        }
    }
    let mut times = [Times::default(), Times::default(), Times::default()];
    for (via, open, taken) in opened {
        open.close().await;
        times[via as usize] = taken;
    }
    Ok(times)
}

pub(crate) async fn open(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    let (runs, container) = match &bench.pod {
        // runc is slow.
        Some(_) => (sizes.commands / 5, "in a container"),
        None => (sizes.commands, "a plain process"),
    };
    let [gateway, kubelet, sshd] = on_open(bench, runs).await?;
    let ratio = gateway.median() / kubelet.median();
    let row = Row {
        what: format!("`true` on an open SSH connection, {container}"),
        gateway: gateway.cell(),
        kubelet: kubelet.cell(),
        sshd: sshd.cell(),
        ratio: format!("{ratio:.2} × kubelet"),
        target: "≤ 1.15".to_owned(),
        ..Row::default()
    };
    Ok(vec![row.judge(ratio <= 1.15)])
}

/// On an SSH connection of its own, so many times; the kubelet's is new each time anyway.
pub(crate) async fn on_new(bench: &Bench, runs: usize) -> Result<[Times; 3]> {
    let mut times = [Times::default(), Times::default(), Times::default()];
    for round in 0..WARM_UP + runs {
        for via in bench.vias(round) {
            let begun = Instant::now();
            let open = bench.open(via).await?;
            run_true(&open).await.with_context(|| format!("{via:?}"))?;
            let taken = begun.elapsed();
            open.close().await;
            if round >= WARM_UP {
                times[via as usize].push(taken);
            }
        }
    }
    Ok(times)
}

pub(crate) async fn new(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    ensure!(bench.sshd.is_some(), "sshd is not installed");
    let [gateway, kubelet, sshd] = on_new(bench, sizes.commands).await?;
    let ratio = gateway.median() / (kubelet.median() + sshd.median());
    let row = Row {
        what: "`true` on a new SSH connection".to_owned(),
        gateway: gateway.cell(),
        kubelet: kubelet.cell(),
        sshd: sshd.cell(),
        ratio: format!("{ratio:.2} × both"),
        target: "≤ 0.6".to_owned(),
        ..Row::default()
    };
    Ok(vec![row.judge(ratio <= 0.6)])
}

const _: () = assert!(Via::Gateway as usize == 0 && Via::Sshd as usize == 2);
