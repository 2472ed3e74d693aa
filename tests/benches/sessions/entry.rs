//! What a session costs that the node entry starts, in a real container: beside an exec straight at the
//! kubelet's stand-in, which has containerd start the same, and beside sshd.

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::sizes::Sizes;
use crate::table::{Row, Times};
use crate::{bulk, commands, keystroke};

/// A row of times. It is judged by how many times something else the gateway's is.
fn row(what: &str, [gateway, kubelet, sshd]: &[Times; 3]) -> Row {
    Row {
        what: format!("{what}, by the node entry"),
        gateway: gateway.cell(),
        kubelet: kubelet.cell(),
        sshd: sshd.cell(),
        ..Row::default()
    }
}

fn judge(row: Row, ratio: f64, than: &str, most: f64) -> Row {
    let row = Row {
        ratio: format!("{ratio:.2} × {than}"),
        target: format!("≤ {most}"),
        ..row
    };
    row.judge(ratio <= most)
}

pub(crate) async fn rows(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    // runc is slow.
    let runs = sizes.commands / 5;
    let times = commands::on_open(bench, runs).await?;
    let ratio = times[0].median() / times[1].median();
    let open = row("`true` on an open SSH connection", &times);
    let mut rows = vec![judge(open, ratio, "kubelet", 0.85)];
    let times = commands::on_new(bench, runs).await?;
    rows.push(row("`true` on a new SSH connection", &times));
    rows.extend(keystrokes(bench, sizes).await?);
    for direction in [bulk::Direction::Stdout, bulk::Direction::Stdin] {
        rows.extend(transfers(bench, sizes, direction).await?);
    }
    Ok(rows)
}

async fn keystrokes(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    let alone = keystroke::alone(bench, sizes).await.context("alone")?;
    let idle = alone[0].median();
    let ratio = idle / alone[2].median();
    let mut rows = vec![judge(
        row("echo of a keystroke", &alone),
        ratio,
        "sshd",
        2.0,
    )];
    let (beside, moved) = keystroke::beside(bench, sizes).await.context("beside")?;
    let what = "the same beside 4 bulk sessions";
    let ratio = beside[0].median() / idle;
    rows.push(judge(row(what, &beside), ratio, "idle", 3.0));
    let slowest = beside.each_ref().map(|times| times.quantile(0.99));
    let p99 = Row {
        what: "its p99, by the node entry".to_owned(),
        gateway: format!("{:.2} ms", slowest[0]),
        kubelet: format!("{:.2} ms", slowest[1]),
        sshd: format!("{:.2} ms", slowest[2]),
        ..Row::default()
    };
    rows.push(judge(p99, slowest[0] / idle, "idle", 20.0));
    rows.push(Row {
        what: "what these 4 move meanwhile".to_owned(),
        gateway: bulk::cell(moved[0]),
        kubelet: bulk::cell(moved[1]),
        sshd: bulk::cell(moved[2]),
        ..Row::default()
    });
    let within = keystroke::within(bench, sizes).await.context("within")?;
    let what = "the same, all 5 on one SSH connection";
    let ratio = within[0].median() / within[2].median();
    rows.push(judge(row(what, &within), ratio, "sshd", 2.0));
    Ok(rows)
}

async fn transfers(bench: &Bench, sizes: &Sizes, direction: bulk::Direction) -> Result<Vec<Row>> {
    let measured = bulk::measure(bench, sizes, direction).await?;
    let [gateway, kubelet, sshd] = measured.rates;
    let name = match direction {
        bulk::Direction::Stdout => "stdout",
        bulk::Direction::Stdin => "stdin",
    };
    let ratio = gateway / sshd;
    let row = Row {
        what: format!("{} MiB of {name}, by the node entry", sizes.bulk >> 20),
        gateway: bulk::cell(gateway),
        kubelet: bulk::cell(kubelet),
        sshd: bulk::cell(sshd),
        ratio: format!("{ratio:.2} × sshd"),
        target: "≥ 0.75".to_owned(),
        ..Row::default()
    };
    let mut rows = vec![row.judge(ratio >= 0.75)];
    let [frontdoor, agent] = measured.used;
    for (part, used, most) in [("frontdoor", frontdoor, 1.0), ("agent", agent, 0.6)] {
        let row = Row {
            what: format!("its time on a core, {part}"),
            gateway: format!("{used:.2} s a GiB"),
            target: format!("≤ {most} s"),
            ..Row::default()
        };
        rows.push(row.judge(used <= most));
    }
    Ok(rows)
}
