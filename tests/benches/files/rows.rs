//! The rows of the table.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use podgate_tests::instruments::bench::{median, verdict};

use crate::sizes::Sizes;
use crate::stage::{Stage, Via};

/// A bound of Podgate's time over sshd's.
struct Target(f64);

/// Measures all rows, and prints each when it is there.
pub(crate) async fn print(stage: &Stage, sizes: &Sizes) -> Result<()> {
    println!("| | podgate | sshd | ratio | target | |");
    println!("|---|---|---|---|---|---|");
    let before = usage(stage)?;
    let both = [("get", "large"), ("put", "large")];
    for (command, name) in both {
        let what = format!("sftp {command}, {} MiB", sizes.large >> 20);
        let batch = |via| transfer(stage, via, command, name);
        row(&what, Target(1.0 / 0.9), sizes.rounds, async |via| {
            stage.sftp(via, false, &[], &batch(via)).await
        })
        .await?;
    }
    let after = usage(stage)?;
    let moved = 2.0 * sizes.rounds as f64 * sizes.large as f64 / f64::from(1 << 30);
    for ((name, before), (_, after)) in before.cpu.iter().zip(&after.cpu) {
        let each = (*after - *before).as_secs_f64() / moved;
        println!("| CPU of the {name} for 1 GiB | {each:.2} s | | | | |");
    }
    let grown = after.peak.saturating_sub(before.peak) >> 20;
    println!("| memory of frontdoor and agent, grown by | {grown} MiB | | | at most 16 MiB | |");
    for command in ["get -r", "put -r"] {
        let what = format!("sftp {command}, {} files of 1 KiB", sizes.small);
        row(&what, Target(1.0 / 0.8), sizes.rounds, async |via| {
            let batch = transfer(stage, via, command, "small");
            let took = stage.sftp(via, false, &[], &batch).await?;
            let _ = fs::remove_dir_all(stage.local("got"));
            Ok(took)
        })
        .await?;
    }
    for (command, name) in [("get", "delayed"), ("put", "delayed")] {
        let size = sizes.delayed >> 20;
        let what = format!("sftp {command}, {size} MiB, 50 ms round trip");
        row(&what, Target(1.0), sizes.rounds, async |via| {
            stage
                .sftp(via, true, &[], &transfer(stage, via, command, name))
                .await
        })
        .await?;
    }
    for (mode, target) in [("-s", 1.0 / 0.9), ("-O", 1.0 / 0.75)] {
        let what = format!("scp {mode}, {} MiB", sizes.large >> 20);
        row(&what, Target(target), sizes.rounds, async |via| {
            let at = format!("{}:{}", stage.address(via), stage.there(via, "put"));
            let words = [mode, &stage.local("large"), &at];
            stage.run(via, false, "scp", &words).await
        })
        .await?;
    }
    let what = format!("listing {} entries", sizes.listed);
    row(&what, Target(1.0 / 0.8), sizes.rounds, async |via| {
        let list = format!("ls -1f {}\n", stage.there(via, "listed"));
        stage.sftp(via, false, &[], &list).await
    })
    .await?;
    let rounds = sizes.rounds * 5;
    row("sftp to its prompt", Target(1.5), rounds, async |via| {
        let shared = stage.share(via).await?;
        stage.sftp(via, false, &[&shared.option], "bye\n").await
    })
    .await
}

/// A line of a batch.
fn transfer(stage: &Stage, via: Via, command: &str, name: &str) -> String {
    match command.starts_with("get") {
        true => {
            let (from, to) = (stage.there(via, name), stage.local("got"));
            format!("{command} {from} {to}\n")
        }
        false => {
            let (from, to) = (stage.local(name), stage.there(via, &format!("put-{name}")));
            format!("{command} {from} {to}\n")
        }
    }
}

/// Runs both in turn, each first in every other round, and prints the medians.
async fn row(
    what: &str,
    Target(target): Target,
    rounds: usize,
    one: impl AsyncFn(Via) -> Result<Duration>,
) -> Result<()> {
    let mut all = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let mut vias = [(0, Via::Podgate), (1, Via::Sshd)];
        vias.rotate_left(round % 2);
        for (index, via) in vias {
            all[index].push(one(via).await?.as_secs_f64());
        }
    }
    let [podgate, sshd] = all.map(|all| median(&all));
    let ratio = podgate / sshd;
    let verdict = verdict(ratio <= target);
    let [podgate, sshd] = [podgate, sshd].map(Duration::from_secs_f64);
    println!(
        "| {what} | {podgate:.2?} | {sshd:.2?} | {ratio:.2} | at most {target:.2} | {verdict} |"
    );
    Ok(())
}

/// What frontdoor and agent have used so far.
struct Usage {
    cpu: [(&'static str, Duration); 2],
    /// Bytes that both have had at most.
    peak: u64,
}

fn usage(stage: &Stage) -> Result<Usage> {
    let (frontdoor, agent) = (&stage.stand.frontdoor, &stage.stand.agent);
    Ok(Usage {
        cpu: [("frontdoor", frontdoor.cpu()?), ("agent", agent.cpu()?)],
        peak: frontdoor.peak()? + agent.peak()?,
    })
}
