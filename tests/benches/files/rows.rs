//! The rows of the table.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use podgate_tests::instruments::bench::{median, verdict};

use crate::sizes::Sizes;
use crate::stage::{Stage, Via};
use crate::tar;

/// A bound of Podgate's time over sshd's.
struct Target(f64);

/// The table's rows, each printed when it is there.
pub(crate) struct Rows<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) sizes: &'a Sizes,
}

impl Rows<'_> {
    pub(crate) async fn print(&self) -> Result<()> {
        println!("| | podgate | sshd | ratio | target | | tar by the kubelet |");
        println!("|---|---|---|---|---|---|---|");
        let has = |group| self.sizes.has(group);
        if has("large") {
            self.large().await?;
        }
        if has("small") {
            self.small().await?;
        }
        if has("delayed") {
            self.delayed().await?;
        }
        if has("scp") {
            self.scp().await?;
        }
        if has("listing") {
            self.listing().await?;
        }
        if has("prompt") {
            self.prompt().await?;
        }
        Ok(())
    }

    async fn listing(&self) -> Result<()> {
        let Self { stage, sizes } = self;
        let what = format!("listing {} entries", sizes.listed);
        self.row(&what, Target(1.0 / 0.8), sizes.rounds, async |via| {
            let list = format!("ls -1f {}\n", stage.there(via, "listed"));
            stage.sftp(via, false, &[], &list).await
        })
        .await
    }

    async fn prompt(&self) -> Result<()> {
        let Self { stage, sizes } = self;
        let rounds = sizes.rounds * 5;
        self.row("sftp to its prompt", Target(1.5), rounds, async |via| {
            let shared = stage.share(via).await?;
            stage.sftp(via, false, &[&shared.option], "bye\n").await
        })
        .await
    }

    async fn large(&self) -> Result<()> {
        let Self { stage, sizes } = self;
        let mut used = [Duration::ZERO; 2];
        for command in ["get", "put"] {
            let mut by_tar = Vec::new();
            for _ in 0..sizes.rounds {
                by_tar.push(tar::timed(stage, command).await?.as_secs_f64());
            }
            let by_tar = Duration::from_secs_f64(median(&by_tar));
            let what = format!("sftp {command}, {} MiB", sizes.large >> 20);
            let before = usage(stage)?;
            let took = self.transfers(&what, Target(1.0 / 0.9), command, ("large", false));
            took.await.map(|row| println!("{row} {by_tar:.2?} |"))?;
            for ((used, before), after) in used.iter_mut().zip(before).zip(usage(stage)?) {
                *used += after - before;
            }
        }
        let moved = 2.0 * sizes.rounds as f64 * sizes.large as f64 / f64::from(1 << 30);
        for (name, used) in ["frontdoor", "agent"].iter().zip(used) {
            let each = used.as_secs_f64() / moved;
            println!("| CPU of the {name} for 1 GiB | {each:.2} s | | | | | |");
        }
        Ok(())
    }

    async fn small(&self) -> Result<()> {
        for command in ["get -r", "put -r"] {
            let what = format!("sftp {command}, {} files of 1 KiB", self.sizes.small);
            let took = self.transfers(&what, Target(1.0 / 0.8), command, ("small", false));
            took.await.map(|row| println!("{row} |"))?;
        }
        Ok(())
    }

    async fn delayed(&self) -> Result<()> {
        for command in ["get", "put"] {
            let size = self.sizes.delayed >> 20;
            let what = format!("sftp {command}, {size} MiB, 50 ms round trip");
            let took = self.transfers(&what, Target(1.0), command, ("delayed", true));
            took.await.map(|row| println!("{row} |"))?;
        }
        Ok(())
    }

    async fn scp(&self) -> Result<()> {
        let Self { stage, sizes } = self;
        for (mode, target) in [("-s", 1.0 / 0.9), ("-O", 1.0 / 0.75)] {
            let what = format!("scp {mode}, {} MiB", sizes.large >> 20);
            self.row(&what, Target(target), sizes.rounds, async |via| {
                let at = format!("{}:{}", stage.address(via), stage.there(via, "put-large"));
                let words = [mode, &stage.local("large"), &at];
                let took = stage.run(via, false, "scp", &words).await;
                remove(&stage.in_folder("put-large"));
                took
            })
            .await?;
        }
        Ok(())
    }

    /// A row of one line of a batch. What it makes is removed after each run.
    async fn transfers(
        &self,
        what: &str,
        target: Target,
        command: &str,
        (name, is_far): (&str, bool),
    ) -> Result<String> {
        let stage = self.stage;
        let one = async |via| {
            let got = stage.local("got");
            let made = format!("put-{name}");
            let batch = match command.starts_with("get") {
                true => format!("{command} {} {got}\n", stage.there(via, name)),
                false => format!(
                    "{command} {} {}\n",
                    stage.local(name),
                    stage.there(via, &made)
                ),
            };
            let took = stage.sftp(via, is_far, &[], &batch).await;
            remove(got.as_ref());
            remove(&stage.in_folder(&made));
            took
        };
        compare(what, target, self.sizes.rounds, one).await
    }

    async fn row(
        &self,
        what: &str,
        target: Target,
        rounds: usize,
        one: impl AsyncFn(Via) -> Result<Duration>,
    ) -> Result<()> {
        println!("{} |", compare(what, target, rounds, one).await?);
        Ok(())
    }
}

/// A file or a folder that need not be there.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
}

/// Runs both in turn, each first in every other round. Answers a row without its last cell, of the medians.
async fn compare(
    what: &str,
    Target(target): Target,
    rounds: usize,
    one: impl AsyncFn(Via) -> Result<Duration>,
) -> Result<String> {
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
    Ok(format!(
        "| {what} | {podgate:.2?} | {sshd:.2?} | {ratio:.2} | at most {target:.2} | {verdict} |"
    ))
}

/// What frontdoor and agent have used so far.
fn usage(stage: &Stage) -> Result<[Duration; 2]> {
    Ok([stage.stand.frontdoor.cpu()?, stage.stand.agent.cpu()?])
}
