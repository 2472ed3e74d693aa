//! Programs that get no processor for a while: stopped ones, whose systems still acknowledge what comes. No
//! session is lost by it.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Longer than a network may be silent.
const STOPPED: Duration = Duration::from_secs(15);
const BYTES: usize = 64 << 20;

async fn stopped(stand: &Stand, part: &Part) {
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    let mut echo = Echo::start(ssh).await.unwrap();
    // So much that the stopped one's system soon takes no more of it.
    let mut upload = stand.client.ssh(&[], "demo");
    upload.arg("dd bs=1 count=1 2>/dev/null; wc -c");
    upload.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut upload = upload.kill_on_drop(true).spawn().unwrap();
    let (mut stdin, mut stdout) = (upload.stdin.take().unwrap(), upload.stdout.take().unwrap());
    let uploading = tokio::spawn(async move { stdin.write_all(&vec![b'x'; BYTES]).await });
    assert_eq!(stdout.read_u8().await.unwrap(), b'x');

    part.signal(Signal::STOP).unwrap();
    let all_stand = || async { part.stands_still().ok().filter(|stands| *stands).map(drop) };
    eventually("all threads to stop", STOPPED, all_stand)
        .await
        .unwrap();
    let echoed = timeout(STOPPED, echo.again()).await;
    part.signal(Signal::CONT).unwrap();
    assert!(echoed.is_err(), "it ran: {echoed:?}");
    // The line that came meanwhile, and another.
    echo.again().await.unwrap();
    echo.again().await.unwrap();
    uploading.await.unwrap().unwrap();
    let mut counted = String::new();
    stdout.read_to_string(&mut counted).await.unwrap();
    assert_eq!(counted.trim(), (BYTES - 1).to_string());
    assert_eq!(upload.wait().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_stopped_for_a_while_loses_no_session() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    stopped(&stand, &stand.agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_that_is_stopped_for_a_while_loses_no_session() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    stopped(&stand, &stand.frontdoor).await;
}
