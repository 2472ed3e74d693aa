//! The echo of one keystroke on a terminal: alone, and beside sessions that move what they can.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use podgate_tests::instruments::bench::median;
use podgate_tests::instruments::program::{Input, Output, Program};

use crate::bench::{Bench, Open, Running, Via, either};
use crate::load::{self, By};
use crate::sizes::Sizes;
use crate::table::{Row, Times};

/// A program that answers each byte itself, as an editor does. The terminal only passes bytes on.
const ECHO: &str = "stty raw -echo; echo ready; exec cat";
/// Keystrokes that are not counted.
const WARM_UP: usize = 50;
/// How often a load is started, each way.
const LOADS: usize = 3;

pub(crate) async fn start(open: &Open) -> Result<Running> {
    let mut running = open.start(ECHO, true).await?;
    either!(&mut running, program => program.until("ready\n").await)?;
    Ok(running)
}

async fn press<I: Input, O: Output>(program: &mut Program<I, O>) -> Result<()> {
    program.input.write(Bytes::from_static(b"x")).await?;
    let echo = program.output.next().await?;
    ensure!(echo.as_deref() == Some(b"x"), "no echo: {echo:?}");
    Ok(())
}

pub(crate) async fn press_timed(running: &mut Running, times: &mut Times) -> Result<()> {
    let begun = Instant::now();
    either!(running, program => press(program).await)?;
    times.push(begun.elapsed());
    Ok(())
}

/// All three ways in turn, keystroke by keystroke.
pub(crate) async fn alone(bench: &Bench, sizes: &Sizes) -> Result<[Times; 3]> {
    let mut shells = Vec::new();
    for via in bench.vias(0) {
        let open = bench.open(via).await?;
        let running = start(&open).await?;
        shells.push((via, open, running));
    }
    let mut times = [Times::default(), Times::default(), Times::default()];
    let mut unused = Times::default();
    for round in 0..WARM_UP + sizes.keystrokes {
        let first = round % shells.len();
        for at in 0..shells.len() {
            let at = (first + at) % shells.len();
            let (via, _, running) = &mut shells[at];
            let into = match round {
                0..WARM_UP => &mut unused,
                _ => &mut times[*via as usize],
            };
            let pressed = press_timed(running, into).await;
            pressed.with_context(|| format!("{via:?}"))?;
        }
    }
    for (_, open, running) in shells {
        drop(running);
        open.close().await;
    }
    Ok(times)
}

/// Each beside a load of its own kind, in rounds, since two loads at once would slow each other.
pub(crate) async fn beside(bench: &Bench, sizes: &Sizes) -> Result<([Times; 3], [f64; 3])> {
    let mut times = [Times::default(), Times::default(), Times::default()];
    let mut rates = [const { Vec::new() }; 3];
    for round in 0..LOADS {
        for via in bench.vias(round) {
            let by = match via {
                Via::Kubelet => By::Kubelet(bench.direct.clone()),
                via => By::Ssh(bench.login(via)?.clone()),
            };
            let open = bench.open(via).await?;
            let mut running = start(&open).await?;
            let load = load::start(by).await?;
            for _ in 0..sizes.keystrokes / LOADS / 4 {
                press_timed(&mut running, &mut times[via as usize]).await?;
            }
            rates[via as usize].push(load.end().await?);
            drop(running);
            open.close().await;
        }
    }
    Ok((times, rates.each_ref().map(|rates| median(rates))))
}

/// Beside a load on the keystroke's own SSH connection. The kubelet has no such thing.
pub(crate) async fn within(bench: &Bench, sizes: &Sizes) -> Result<[Times; 3]> {
    let mut times = [Times::default(), Times::default(), Times::default()];
    for round in 0..LOADS {
        for via in bench.vias(round) {
            if via == Via::Kubelet {
                continue;
            }
            let connection = bench.login(via)?.connect().await?;
            let mut running = Running::Ssh(connection.terminal(Some(ECHO)).await?);
            either!(&mut running, program => program.until("ready\n").await)?;
            let load = load::on(&connection).await?;
            for _ in 0..sizes.keystrokes / LOADS / 8 {
                press_timed(&mut running, &mut times[via as usize]).await?;
            }
            drop(load);
            drop(running);
            connection.close().await;
        }
    }
    Ok(times)
}

pub(crate) async fn rows(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    let [idle, kubelet, sshd] = alone(bench, sizes).await.context("alone")?;
    let more = idle.median() - kubelet.median();
    let spread = idle.quantile(0.99) / idle.median();
    let row = Row {
        what: "echo of a keystroke".to_owned(),
        gateway: idle.cell(),
        kubelet: kubelet.cell(),
        sshd: sshd.cell(),
        ..Row::default()
    };
    let p50 = Row {
        ratio: format!("+ {more:.2} ms"),
        target: "≤ kubelet + 0.25 ms".to_owned(),
        ..row
    };
    let p99 = Row {
        what: "its p99 by its p50".to_owned(),
        gateway: format!("{spread:.1}"),
        kubelet: format!("{:.1}", kubelet.quantile(0.99) / kubelet.median()),
        sshd: format!("{:.1}", sshd.quantile(0.99) / sshd.median()),
        ratio: format!("{spread:.1}"),
        target: "≤ 4".to_owned(),
        ..Row::default()
    };
    let mut rows = vec![p50.judge(more <= 0.25), p99.judge(spread <= 4.0)];

    let (beside, rates) = beside(bench, sizes).await.context("beside")?;
    rows.push(judge_load(
        "the same beside 4 bulk sessions",
        &idle,
        &beside,
    ));
    rows.push(Row {
        what: "what these 4 move meanwhile".to_owned(),
        gateway: format!("{:.0} MiB/s", rates[0]),
        kubelet: format!("{:.0} MiB/s", rates[1]),
        sshd: format!("{:.0} MiB/s", rates[2]),
        ..Row::default()
    });
    let within = within(bench, sizes).await.context("within")?;
    let what = "the same, all 5 on one SSH connection";
    rows.push(judge_load(what, &idle, &within));
    Ok(rows)
}

fn judge_load(what: &str, idle: &Times, [gateway, kubelet, sshd]: &[Times; 3]) -> Row {
    let ratio = gateway.median() / idle.median();
    let row = Row {
        what: what.to_owned(),
        gateway: gateway.cell(),
        kubelet: kubelet.cell(),
        sshd: sshd.cell(),
        ratio: format!("{ratio:.1} × idle"),
        target: "≤ 3".to_owned(),
        ..Row::default()
    };
    row.judge(ratio <= 3.0)
}
