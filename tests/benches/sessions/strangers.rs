//! The echo of one keystroke beside strangers, who make the server exchange keys as often as it can and
//! never log in.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::agreement::{ECDH_P521, EphemeralPrivateKey};
use aws_lc_rs::rand::SystemRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, Via};
use crate::keystroke::{press_timed, start};
use crate::sizes::Sizes;
use crate::table::{Row, Times};

/// Connections at a time. This many once ended the sessions of others.
const STRANGERS: usize = 24;
/// The curve that costs the server most.
const KEX: &[u8] = b"ecdh-sha2-nistp521";
/// Rounds, alone and beside the strangers in turn.
const ROUNDS: usize = 4;

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// A packet before encryption (RFC 4253 §6).
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 9) % 8) % 8;
    let body = [&[padding as u8][..], payload, &vec![0; padding]].concat();
    string(&body)
}

/// Everything that a client sends before the server computes. The stranger itself has computed nothing.
fn opening() -> Result<Vec<u8>> {
    let key = EphemeralPrivateKey::generate(&ECDH_P521, &SystemRandom::new());
    let key = key.and_then(|key| key.compute_public_key());
    let key = key.map_err(|_| anyhow!("no key"))?;
    let lists: [&[u8]; 10] = [
        KEX,
        b"ssh-ed25519",
        b"aes128-gcm@openssh.com",
        b"aes128-gcm@openssh.com",
        b"hmac-sha2-256",
        b"hmac-sha2-256",
        b"none",
        b"none",
        b"",
        b"",
    ];
    let mut init = vec![20; 17];
    lists.iter().for_each(|list| init.extend(string(list)));
    init.extend([0; 5]);
    let ecdh = [&[30][..], &string(key.as_ref())].concat();
    Ok([b"SSH-2.0-x\r\n".to_vec(), packet(&init), packet(&ecdh)].concat())
}

/// Whether the server has answered with its list and with its half of the exchange.
fn exchanged(answer: &[u8]) -> bool {
    let line = answer.iter().position(|byte| *byte == b'\n');
    let mut rest = line.and_then(|end| answer.get(end + 1..));
    for _ in 0..2 {
        rest = rest.and_then(|packet| {
            let (length, after) = packet.split_first_chunk::<4>()?;
            after.get(u32::from_be_bytes(*length) as usize..)
        });
    }
    rest.is_some()
}

/// Makes the server exchange keys once.
async fn exchange(server: SocketAddr, opening: &[u8]) -> Result<()> {
    let mut connection = TcpStream::connect(server).await?;
    connection.write_all(opening).await?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !exchanged(&answer) {
        match connection.read(&mut piece).await? {
            0 => anyhow::bail!("the server says no more after {} bytes", answer.len()),
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    Ok(())
}

/// Runs the strangers on a thread of their own until `stop`. Returns how many exchanges there were.
async fn attack(server: SocketAddr, stop: CancellationToken) -> Result<usize> {
    let opening = opening()?;
    let mut strangers = JoinSet::new();
    for _ in 0..STRANGERS {
        let (opening, stop) = (opening.clone(), stop.clone());
        strangers.spawn(async move {
            let mut done = 0;
            while let Some(exchanged) = stop.run_until_cancelled(exchange(server, &opening)).await {
                exchanged?;
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut all = 0;
    while let Some(done) = strangers.join_next().await {
        all += done??;
    }
    Ok(all)
}

pub(crate) async fn rows(bench: &Bench, sizes: &Sizes) -> Result<Vec<Row>> {
    let open = bench.open(Via::Gateway).await?;
    let mut shell = start(&open).await?;
    let (mut alone, mut beside) = (Times::default(), Times::default());
    let (mut exchanges, mut seconds) = (0, 0.0);
    let server = SocketAddr::from(([127, 0, 0, 1], bench.stand.frontdoor.port()));
    for _ in 0..ROUNDS {
        for _ in 0..sizes.keystrokes / ROUNDS {
            press_timed(&mut shell, &mut alone).await?;
        }
        let stop = CancellationToken::new();
        let token = stop.clone();
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(attack(server, token))
        });
        for _ in 0..sizes.keystrokes / ROUNDS {
            press_timed(&mut shell, &mut beside).await?;
        }
        stop.cancel();
        let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
        exchanges += joined
            .map_err(|_| anyhow!("the strangers panicked"))?
            .context("strangers")?;
        seconds += begun.elapsed().as_secs_f64();
    }
    drop(shell);
    open.close().await;
    let ratio = beside.quantile(0.99) / alone.quantile(0.99);
    let what = format!("echo of a keystroke beside {STRANGERS} strangers who exchange keys");
    let row = Row {
        what,
        gateway: format!("{} (alone {})", beside.cell(), alone.cell()),
        ratio: format!("p99 {ratio:.1} × alone"),
        target: "≤ 2".to_owned(),
        ..Row::default()
    };
    let rate = Row {
        what: "key exchanges that they get meanwhile".to_owned(),
        gateway: format!("{:.0} a second", exchanges as f64 / seconds),
        ..Row::default()
    };
    Ok(vec![row.judge(ratio <= 2.0), rate])
}
