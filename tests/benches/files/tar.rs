//! What `kubectl cp` does: `tar` by an exec at the kubelet's stand-in.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;
use podgate_tests::instruments::direct::Direct;
use podgate_tests::instruments::program::{Input, Output};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::stage::{Stage, THERE};

const CHUNK: usize = 64 * 1024;

/// How long it takes to move the large file.
pub(crate) async fn timed(stage: &Stage, command: &str) -> Result<Duration> {
    let direct = Direct::new(&stage.stand)?;
    let begun = Instant::now();
    match command {
        "get" => get(stage, &direct).await?,
        _ => put(stage, &direct).await?,
    }
    Ok(begun.elapsed())
}

fn local(words: &[&str]) -> Result<Child> {
    let mut tar = Command::new("tar");
    tar.args(words).kill_on_drop(true);
    tar.stdin(Stdio::piped()).stdout(Stdio::piped());
    tar.spawn().context("tar")
}

async fn get(stage: &Stage, direct: &Direct) -> Result<()> {
    let command = format!("exec tar cf - -C {THERE} large");
    let mut theirs = direct.exec(&command, false).await?;
    let mut ours = local(&["xf", "-", "-C", &stage.local("."), "--transform=s/^/tar-/"])?;
    let mut stdin = ours.stdin.take().context("stdin")?;
    while let Some(bytes) = theirs.output.next().await? {
        stdin.write_all(&bytes).await?;
    }
    drop(stdin);
    ensure!(theirs.output.status() == Some(0) && ours.wait().await?.success());
    Ok(())
}

async fn put(stage: &Stage, direct: &Direct) -> Result<()> {
    let command = format!("mkdir -p {THERE}/tar; exec tar xf - -C {THERE}/tar");
    let mut theirs = direct.exec(&command, false).await?;
    let mut ours = local(&["cf", "-", "-C", &stage.local("."), "large"])?;
    let mut stdout = ours.stdout.take().context("stdout")?;
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(CHUNK);
        if stdout.read_buf(&mut bytes).await? == 0 {
            break;
        }
        theirs.input.write(bytes.split().freeze()).await?;
    }
    theirs.input.end().await?;
    let (said, status) = theirs.wait().await?;
    ensure!(status == 0, "{}", String::from_utf8_lossy(&said));
    ensure!(ours.wait().await?.success());
    Ok(())
}
