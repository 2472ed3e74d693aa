//! Many clients that connect at the same moment, each to run `true`.

use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::bench::{Bench, Open, Via};
use crate::sizes::Sizes;
use crate::table::{Row, Times};

/// The times of those that were served, and why the first other one was not.
async fn storm(bench: &Bench, via: Via, clients: usize) -> Result<(Times, Option<String>)> {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..clients {
        let login = match via {
            Via::Kubelet => None,
            via => Some(bench.login(via)?.clone()),
        };
        let direct = bench.direct.clone();
        tasks.spawn(async move {
            let status = match login {
                None => direct.exec("true", false).await?.wait().await?.1,
                Some(login) => {
                    let connection = login.connect().await?;
                    let status = connection.exec("true").await?.wait().await?.1;
                    let taken = begun.elapsed();
                    connection.close().await;
                    ensure!(status == 0, "status {status}");
                    return Ok(taken);
                }
            };
            ensure!(status == 0, "status {status}");
            Ok(begun.elapsed())
        });
    }
    let (mut times, mut failed) = (Times::default(), None);
    while let Some(ended) = tasks.join_next().await {
        match ended? {
            Ok(taken) => times.push(taken),
            Err(error) => failed = failed.or_else(|| Some(format!("{error:#}"))),
        }
    }
    Ok((times, failed))
}

pub(crate) async fn rows(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    let mut cells = [const { String::new() }; 3];
    let (mut all, mut why) = (false, String::new());
    for via in bench.vias(0) {
        // This makes the first connections between the parts.
        let open = bench.open(via).await?;
        if let Open::Ssh(connection) = &open {
            connection.exec("true").await?.wait().await?;
        }
        open.close().await;
        let (times, failed) = storm(bench, via, sizes.storm).await?;
        if via == Via::Gateway {
            all = times.count() == sizes.storm;
            why = failed.unwrap_or_default();
        }
        cells[via as usize] = format!(
            "{} served, p50 {:.0} ms, p99 {:.0}",
            times.count(),
            times.median(),
            times.quantile(0.99)
        );
    }
    let [gateway, kubelet, sshd] = cells;
    let row = Row {
        what: format!("{} clients at once, `true` each", sizes.storm),
        gateway,
        kubelet,
        sshd,
        ratio: why,
        target: "all served".to_owned(),
        ..Row::default()
    };
    Ok(vec![row.judge(all)])
}
