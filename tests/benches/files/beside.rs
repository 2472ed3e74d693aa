//! The echo of a keystroke, idle and beside transfers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use podgate_tests::instruments::bench::{median, verdict};
use podgate_tests::instruments::client::{Login, Session};
use podgate_tests::instruments::program::{Input, Output};

use crate::sizes::Sizes;
use crate::stage::{Stage, Via};
use crate::transfers::{Transfer, What};

/// A program that answers each byte itself.
const ECHO: &str = "stty raw -echo; echo ready; exec cat";
/// Keystrokes that are not counted.
const WARM_UP: usize = 50;

/// Two transfers each way, which go on until they are dropped.
pub(crate) async fn transfers(stage: &Stage) -> Result<Vec<Transfer>> {
    let mut running = Vec::new();
    for number in 0..4 {
        let name = format!("beside-{number}");
        let (local, there) = (stage.local("large"), stage.there(Via::Podgate, "large"));
        let what = match number % 2 {
            0 => What {
                command: "get",
                from: &there,
                to: &stage.local(&name),
                seen: stage.local(&name).into(),
            },
            _ => What {
                command: "put",
                from: &local,
                to: &stage.there(Via::Podgate, &name),
                seen: stage.in_folder(&name),
            },
        };
        let batch = stage.local(&format!("{name}.batch"));
        let client = &stage.stand.client;
        running.push(Transfer::begin(client, "demo", batch.as_ref(), what).await?);
    }
    Ok(running)
}

pub(crate) async fn print(stage: &Stage, sizes: &Sizes) -> Result<()> {
    let connection = Login::to(&stage.stand, "demo")?.connect().await?;
    let mut shell = connection.terminal(Some(ECHO)).await?;
    shell.until("ready\n").await?;
    pressed(&mut shell, WARM_UP).await?;
    let idle = pressed(&mut shell, sizes.keystrokes).await?;
    let running = transfers(stage).await?;
    let beside = pressed(&mut shell, sizes.keystrokes).await?;
    drop(running);
    connection.close().await;
    let ratio = beside / idle;
    let verdict = verdict(ratio <= 3.0);
    let [idle, beside] = [idle, beside].map(Duration::from_secs_f64);
    println!();
    println!("| | idle | beside 4 transfers | ratio | target | |");
    println!("|---|---|---|---|---|---|");
    println!(
        "| echo of a keystroke, p50 | {idle:.2?} | {beside:.2?} | {ratio:.2} | at most 3 | {verdict} |"
    );
    Ok(())
}

/// The median of so many.
async fn pressed(shell: &mut Session, times: usize) -> Result<f64> {
    let mut all = Vec::with_capacity(times);
    for _ in 0..times {
        let begun = Instant::now();
        shell.input.write(Bytes::from_static(b"x")).await?;
        let echo = shell.output.next().await?;
        ensure!(echo.as_deref() == Some(b"x"), "no echo: {echo:?}");
        all.push(begun.elapsed().as_secs_f64());
    }
    Ok(median(&all))
}
