//! How well rates are kept: one session's, and a node's that two users share.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::bench::verdict;
use podgate_tests::real::ssh::Client;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::sizes::Sizes;
use crate::stage::{THERE, run_pod};
use crate::transfers::{Transfer, What};

/// Bytes a second.
const SESSION: u64 = 20_000_000;
const NODE: u64 = 30_000_000;
/// A disk that others use would slow transfers more than their rates do.
const MEMORY: &str = "/dev/shm";
/// Of a file that no transfer comes to the end of.
const ENDLESS: u64 = 1 << 40;
/// Sessions of the one user, and of the other.
const SESSIONS: [usize; 2] = [1, 4];

struct Rated {
    stand: Stand,
    folder: TempDir,
    local: TempDir,
}

pub(crate) async fn print(sizes: &Sizes) -> Result<()> {
    let (folder, local) = (tempfile::tempdir_in(MEMORY)?, tempfile::tempdir_in(MEMORY)?);
    for folder in [&folder, &local] {
        std::fs::File::create(folder.path().join("endless"))?.set_len(ENDLESS)?;
    }
    let rates = format!("{{perSession: {SESSION}, node: {NODE}}}");
    let changes = Changes {
        agent: format!("transferRates: {{upload: {rates}, download: {rates}}}\n"),
        level: Some("info,russh=error"),
        runs: Runs::Auto,
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await?;
    let _pod = run_pod(&stand, folder.path()).await?;
    let rated = Rated {
        stand,
        folder,
        local,
    };
    let seconds = sizes.rated.as_secs();
    println!();
    println!("| over {seconds} s | | rate | | target | |");
    println!("|---|---|---|---|---|---|");
    for command in ["get", "put"] {
        let one = rated
            .moved(&[(&rated.stand.client, 1)], command, sizes)
            .await?;
        row(
            &format!("{command} of one session"),
            one[0],
            SESSION as f64,
            0.05,
        );
    }
    let bob = rated.stand.add_user("bob").await?;
    for command in ["get", "put"] {
        let users = [(&rated.stand.client, SESSIONS[0]), (&bob, SESSIONS[1])];
        let moved = rated.moved(&users, command, sizes).await?;
        let all: f64 = moved.iter().sum();
        row(&format!("{command} of two users"), all, NODE as f64, 0.05);
        for (one, sessions) in moved.iter().zip(SESSIONS) {
            let what = format!("of these, the one with {sessions} sessions");
            row(&what, *one, all / 2.0, 0.2);
        }
    }
    Ok(())
}

fn row(what: &str, moved: f64, wanted: f64, within: f64) {
    let ratio = moved / wanted;
    let verdict = verdict((ratio - 1.0).abs() <= within);
    let [moved, wanted] = [moved, wanted].map(|rate| rate / 1e6);
    let within = within * 100.0;
    println!(
        "| {what} | {moved:.2} MB/s | {wanted:.0} MB/s | {ratio:.3} | within {within:.0} % | {verdict} |"
    );
}

impl Rated {
    /// Bytes a second that each of these users moves, with so many sessions.
    async fn moved(
        &self,
        users: &[(&Client, usize)],
        command: &str,
        sizes: &Sizes,
    ) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for (user, (client, sessions)) in users.iter().enumerate() {
            let mut running = Vec::new();
            for number in 0..*sessions {
                let name = format!("{command}-{user}-{number}");
                running.push(self.begin(client, command, &name).await?);
            }
            all.push(running);
        }
        let lengths = || -> Vec<u64> {
            let lengths = all.iter().map(|of| of.iter().map(Transfer::length).sum());
            lengths.collect()
        };
        let (begun, before) = (Instant::now(), lengths());
        sleep(sizes.rated).await;
        let (after, seconds) = (lengths(), begun.elapsed().as_secs_f64());
        let grown = before.iter().zip(after);
        Ok(grown
            .map(|(before, after)| (after - before) as f64 / seconds)
            .collect())
    }

    async fn begin(&self, client: &Client, command: &str, name: &str) -> Result<Transfer> {
        let (local, folder) = (self.local.path(), self.folder.path());
        let text = |path: &Path| path.display().to_string();
        let there = |name: &str| format!("{THERE}/{name}");
        let (from, to, seen) = match command {
            "get" => (there("endless"), text(&local.join(name)), local.join(name)),
            _ => (text(&local.join("endless")), there(name), folder.join(name)),
        };
        let what = What {
            command,
            from: &from,
            to: &to,
            seen,
        };
        let batch = local.join(format!("{name}.batch"));
        Transfer::begin(client, "demo", &batch, what).await
    }
}
