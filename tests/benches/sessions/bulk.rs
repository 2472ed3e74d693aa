//! A transfer as fast as it goes, either way: its throughput, and the parts' time on a core for it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use podgate_tests::fixtures::gateway::Part;
use podgate_tests::instruments::bench::median;
use podgate_tests::instruments::program::{Input, Output, Program};

use crate::bench::{Bench, Open, Via, either};
use crate::sizes::Sizes;
use crate::table::Row;

const CHUNK: usize = 32 * 1024;
/// Bytes that a program writes or reads at once. It must not be what takes the time: busybox's `head` and
/// `wc` take a call for each byte.
const BLOCK: u64 = 64 * 1024;
const GIB: f64 = (1u64 << 30) as f64;
const MIB: f64 = (1u64 << 20) as f64;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Stdout,
    Stdin,
}

/// Reads everything that a program writes, and checks how many bytes it is.
async fn down<I: Input, O: Output>(mut program: Program<I, O>, bytes: u64) -> Result<()> {
    let mut seen = 0;
    while let Some(some) = program.output.next().await? {
        seen += some.len() as u64;
    }
    ensure!(seen == bytes, "{seen} bytes came of {bytes}");
    ensure!(program.output.status() == Some(0), "no exit status 0");
    Ok(())
}

/// Sends this many bytes to a program that counts them.
async fn up<I: Input, O: Output>(mut program: Program<I, O>, bytes: u64) -> Result<()> {
    let chunk = Bytes::from(vec![0; CHUNK]);
    for _ in 0..bytes / CHUNK as u64 {
        program.input.write(chunk.clone()).await?;
    }
    program.input.end().await?;
    let (said, status) = program.wait().await?;
    let said = String::from_utf8(said)?;
    let all = format!("{}+0 records in\n", bytes / BLOCK);
    ensure!(
        said.starts_with(&all) && status == 0,
        "status {status}, {said:?} of {all:?}"
    );
    Ok(())
}

/// MiB a second.
async fn transfer(open: &Open, direction: Direction, bytes: u64) -> Result<f64> {
    let begun = Instant::now();
    match direction {
        Direction::Stdout => {
            let blocks = bytes / BLOCK;
            let command = format!("exec dd if=/dev/zero bs={BLOCK} count={blocks} 2>/dev/null");
            let running = open.start(&command, false).await?;
            either!(running, program => down(program, bytes).await)?;
        }
        Direction::Stdin => {
            // It keeps its stderr, because otherwise the runtime would end its stdin (containerd #13934).
            let command =
                format!("exec 3>&2 2>&1; exec dd of=/dev/null bs={BLOCK} iflag=fullblock");
            let running = open.start(&command, false).await?;
            either!(running, program => up(program, bytes).await)?;
        }
    }
    Ok(bytes as f64 / MIB / begun.elapsed().as_secs_f64())
}

/// What transfers cost.
pub(crate) struct Measured {
    /// MiB a second, each way.
    pub(crate) rates: [f64; 3],
    /// Seconds on a core for a GiB: frontdoor and agent.
    pub(crate) used: [f64; 2],
}

pub(crate) async fn measure(
    bench: &Bench,
    sizes: &Sizes,
    direction: Direction,
) -> Result<Measured> {
    let parts = [&bench.stand.frontdoor, &bench.stand.agent];
    let cpu = || -> Result<Vec<Duration>> { parts.into_iter().map(Part::cpu).collect() };
    let mut rates = [const { Vec::new() }; 3];
    let mut used = [const { Vec::new() }; 2];
    for round in 0..sizes.transfers {
        for via in bench.vias(round) {
            let open = bench.open(via).await?;
            let before = cpu()?;
            let rate = transfer(&open, direction, sizes.bulk).await;
            rates[via as usize].push(rate.with_context(|| format!("{via:?}"))?);
            if via == Via::Gateway {
                for (used, (before, after)) in used.iter_mut().zip(before.iter().zip(cpu()?)) {
                    used.push((after - *before).as_secs_f64() * GIB / sizes.bulk as f64);
                }
            }
            open.close().await;
        }
    }
    Ok(Measured {
        rates: rates.each_ref().map(|rates| median(rates)),
        used: used.each_ref().map(|used| median(used)),
    })
}

/// Empty where nothing was measured.
pub(crate) fn cell(rate: f64) -> String {
    match rate.is_nan() {
        true => String::new(),
        false => format!("{rate:.0} MiB/s"),
    }
}

pub(crate) async fn rows(bench: &Bench, sizes: &Sizes, direction: Direction) -> Result<Vec<Row>> {
    let measured = measure(bench, sizes, direction).await?;
    let [gateway, kubelet, sshd] = measured.rates;
    let ratio = gateway / kubelet;
    let name = match direction {
        Direction::Stdout => "stdout",
        Direction::Stdin => "stdin",
    };
    let row = Row {
        what: format!("{:.2} GiB of {name}", sizes.bulk as f64 / GIB),
        gateway: cell(gateway),
        kubelet: cell(kubelet),
        sshd: cell(sshd),
        ratio: format!("{ratio:.2} × kubelet"),
        target: "≥ 0.65 on 2 cores, else 0.9".to_owned(),
        ..Row::default()
    };
    let cores = std::thread::available_parallelism()?.get();
    let mut rows = vec![row.judge(ratio >= if cores > 2 { 0.9 } else { 0.65 })];
    let [frontdoor, agent] = measured.used;
    for (part, used, target) in [("frontdoor", frontdoor, 1.2), ("agent", agent, 0.9)] {
        let row = Row {
            what: format!("its time on a core, {part}"),
            gateway: format!("{used:.2} s a GiB"),
            target: format!("≤ {target} s"),
            ..Row::default()
        };
        rows.push(row.judge(used <= target));
    }
    Ok(rows)
}
