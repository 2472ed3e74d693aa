//! The echo of one keystroke on a terminal: alone, and beside four downloads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use podgate_tests::instruments::bench::median;
use podgate_tests::instruments::client::{Connection, Login, Session};
use podgate_tests::instruments::load::Load;
use podgate_tests::instruments::program::{Input, Output};
use tokio::task::JoinSet;

use crate::sites::{Site, Sites};
use crate::sizes::Sizes;
use crate::table::Row;

/// A program that answers each byte itself.
const ECHO: &str = "stty raw -echo; echo ready; exec cat";
/// Keystrokes that are not counted, alone and beside downloads.
const WARM_UP: usize = 50;
const WARM_UP_BESIDE: usize = 20;
/// The line that they say.
const DOWN: &str = "exec yes 'a line of text, as programs print it: 2026-11-26T20:58:00Z ok'";

struct Shell {
    _connection: Connection,
    session: Session,
    times: Vec<f64>,
}

impl Shell {
    async fn start(site: &Site) -> Result<Self> {
        let connection = site.login.connect().await?;
        let mut session = connection.terminal(Some(ECHO)).await?;
        session.until("ready\n").await?;
        Ok(Self {
            _connection: connection,
            session,
            times: Vec::new(),
        })
    }

    /// In milliseconds.
    async fn press(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.session.input.write(Bytes::from_static(b"x")).await?;
        let echo = self.session.output.next().await?;
        ensure!(echo.as_deref() == Some(b"x"), "no echo: {echo:?}");
        self.times.push(begun.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    }
}

pub(crate) async fn rows(sites: &Sites, sizes: &Sizes) -> Result<Vec<Row>> {
    let [off, limited, _] = &sites.0;
    let mut shells = [Shell::start(off).await?, Shell::start(limited).await?];
    for round in 0..WARM_UP + sizes.keystrokes {
        for at in 0..2 {
            let shell = &mut shells[(round + at) % 2];
            shell.press().await?;
            if round < WARM_UP {
                shell.times.clear();
            }
        }
    }
    let [alone, recorded] = shells.each_ref().map(|shell| median(&shell.times));
    drop(shells);
    let more = recorded - alone;
    let row = Row {
        what: "echo of a keystroke".to_owned(),
        off: format!("{alone:.3} ms"),
        recorded: format!("{recorded:.3} ms"),
        ratio: format!("{more:+.3} ms"),
        target: "≤ + 0.05 ms".to_owned(),
        ..Row::default()
    };
    let mut rows = vec![row.judge(more <= 0.05)];
    for (at, name) in [(1, "within maxBytes"), (2, "recorded whole")] {
        let pair = [off, &sites.0[at]];
        let [alone, recorded] = beside(pair, sizes)
            .await
            .with_context(|| format!("beside downloads {name}"))?;
        let ratio = recorded.echo / alone.echo;
        let row = Row {
            what: format!("the same beside 4 downloads {name}"),
            off: format!("{:.3} ms", alone.echo),
            recorded: format!("{:.3} ms", recorded.echo),
            ratio: format!("{ratio:.2} ×"),
            target: "≤ 1.2 ×".to_owned(),
            ..Row::default()
        };
        rows.push(row.judge(ratio <= 1.2));
        rows.push(Row {
            what: "what these 4 move meanwhile".to_owned(),
            off: format!("{:.0} MiB/s", alone.rate),
            recorded: format!("{:.0} MiB/s", recorded.rate),
            ratio: format!("{:.2} ×", recorded.rate / alone.rate),
            ..Row::default()
        });
    }
    Ok(rows)
}

/// The medians of an echo in milliseconds, and of what downloads move beside it in MiB a second.
struct Beside {
    echo: f64,
    rate: f64,
}

/// Each beside its own downloads, in rounds, since both loads at once would slow each other.
async fn beside(sites: [&Site; 2], sizes: &Sizes) -> Result<[Beside; 2]> {
    let keystrokes = sizes.keystrokes / sizes.loads / 2;
    let (mut times, mut rates) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for round in 0..sizes.loads {
        for at in 0..2 {
            let at = (round + at) % 2;
            let mut shell = Shell::start(sites[at]).await?;
            let login = sites[at].login.clone();
            let load = Load::start(|moved| downloads(login, moved)).await?;
            // A build that is not optimised takes a good part of a second for each.
            let end = Instant::now() + sizes.load;
            for pressed in 0..WARM_UP_BESIDE + keystrokes {
                if pressed > WARM_UP_BESIDE && Instant::now() >= end {
                    break;
                }
                shell.press().await?;
            }
            rates[at].push(load.end().await?);
            times[at].extend(shell.times.drain(WARM_UP_BESIDE..));
        }
    }
    let [alone, recorded] = [0, 1].map(|at| Beside {
        echo: median(&times[at]),
        rate: median(&rates[at]),
    });
    Ok([alone, recorded])
}

/// Four of them, each on an SSH connection of its own.
async fn downloads(login: Login, moved: Arc<AtomicU64>) -> Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        tasks.spawn(download(login.clone(), Arc::clone(&moved)));
    }
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

async fn download(login: Login, moved: Arc<AtomicU64>) -> Result<()> {
    let connection = login.connect().await?;
    let mut session = connection.exec(DOWN).await?;
    while let Some(bytes) = session.output.next().await? {
        moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    anyhow::bail!("a download ended")
}
