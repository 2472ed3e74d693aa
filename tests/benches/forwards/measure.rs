//! The measurements, each a line of the table.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use podgate_tests::instruments::bench::{median, verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;
use crate::ways::{Forward, Way, Ways};

const MIB: f64 = (1u64 << 20) as f64;

pub(crate) struct Sizes {
    pub(crate) bytes: u64,
    pub(crate) rounds: usize,
    pub(crate) connections: usize,
}

pub(crate) async fn measure(sizes: &Sizes) -> Result<()> {
    let server = Server::start().await?;
    let ways = Ways::start().await?;
    println!("| | worker | kubelet alone | sshd | ratio | target | |");
    println!("|---|---|---|---|---|---|---|");
    throughput(sizes, &server, &ways).await?;
    connections(sizes, &server, &ways).await
}

/// Bytes through one `-L`, in turn.
async fn throughput(sizes: &Sizes, server: &Server, ways: &Ways) -> Result<()> {
    let mut rates = [const { Vec::new() }; 3];
    for round in 0..sizes.rounds {
        for turn in 0..3 {
            let way = Way::ALL[(round + turn) % 3];
            let forward = ways.forward(way, "-L", server.port).await?;
            let mut stream = TcpStream::connect(("127.0.0.1", forward.port)).await?;
            let begun = Instant::now();
            stream.write_u64(sizes.bytes).await?;
            let mut left = sizes.bytes;
            let mut buffer = vec![0; 64 * 1024];
            while left > 0 {
                let read = stream.read(&mut buffer).await?;
                ensure!(read > 0, "{way:?}: {left} bytes are missing");
                left -= read as u64;
            }
            let rate = sizes.bytes as f64 / MIB / begun.elapsed().as_secs_f64();
            rates[way as usize].push(rate);
        }
    }
    let [worker, kubelet, sshd] = rates.map(|rates| median(&rates));
    let (of_sshd, of_kubelet) = (worker / sshd, worker / kubelet);
    println!(
        "| {} MiB by -L | {worker:.0} MiB/s | {kubelet:.0} MiB/s | {sshd:.0} MiB/s | {of_sshd:.2} × sshd, {of_kubelet:.2} × kubelet | ≥ 0.75, ≥ 2 | {} |",
        sizes.bytes >> 20,
        verdict(of_sshd >= 0.75 && of_kubelet >= 2.0)
    );
    Ok(())
}

/// Many connections through one `-D`, which then all stand.
async fn connections(sizes: &Sizes, server: &Server, ways: &Ways) -> Result<()> {
    let mut medians = [f64::NAN; 3];
    let mut memory = String::new();
    for way in Way::ALL {
        let forward = ways.forward(way, "-D", server.port).await?;
        // The first starts the worker.
        drop(connect(&forward, server.port).await?);
        let before = ways.resident(way)?;
        let (mut times, mut standing) = (Vec::new(), Vec::new());
        for _ in 0..sizes.connections {
            let begun = Instant::now();
            let stream = connect(&forward, server.port).await;
            let stream = stream.with_context(|| format!("{way:?}, number {}", times.len()))?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
            standing.push(stream);
        }
        medians[way as usize] = median(&times);
        if way == Way::Worker {
            let after = ways.resident(way)?;
            let cost = |n: usize| {
                let grown = after[n].saturating_sub(before[n]) as f64;
                grown / 1024.0 / sizes.connections as f64
            };
            let (frontdoor, agent) = (cost(0), cost(1));
            memory = format!(
                "| memory of an idle forward | frontdoor {frontdoor:.0} KiB, agent {agent:.0} KiB | | | | ≤ 40 KiB each | {} |",
                verdict(frontdoor <= 40.0 && agent <= 40.0)
            );
        }
    }
    let [worker, kubelet, sshd] = medians;
    let ratio = worker / sshd;
    println!(
        "| set-up of one of {} by -D, median | {worker:.2} ms | {kubelet:.2} ms | {sshd:.2} ms | {ratio:.2} × sshd | ≤ 1.5 | {} |",
        sizes.connections,
        verdict(ratio <= 1.5)
    );
    println!("{memory}");
    Ok(())
}

/// Connects by SOCKS 5 (RFC 1928), up to the server's first byte: the kubelet confirms before it connects.
async fn connect(forward: &Forward, port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", forward.port)).await?;
    stream.set_nodelay(true)?;
    stream.write_all(&[5, 1, 0]).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    let [high, low] = port.to_be_bytes();
    stream
        .write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low])
        .await?;
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await?;
    ensure!(reply[1] == 0, "refused: {}", reply[1]);
    stream.write_u64(1).await?;
    stream.read_u8().await?;
    Ok(stream)
}
