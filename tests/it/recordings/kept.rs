//! What a frontdoor that is killed leaves of its recordings, with a store that answers and with one that
//! is away. `PODGATE_KILLS=200` kills so often.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use podgate_tests::fixtures::stand::Stand;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::Client;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use super::stand::{ask, audit, away, back, stand};

const SOON: Duration = Duration::from_secs(30);
/// A sample, half of it with a store that is away. Every other one has sessions long enough for chunks.
const KILLS: u32 = 20;
const LONG: u32 = 2;
/// Sessions at a time.
const SESSIONS: usize = 3;
/// Lines of a long session until its frontdoor is killed: ten a second at most, and more than it may lose.
const LINES: RangeInclusive<usize> = LOST + 10..=LOST + 40;
/// The same of the others: of some nothing is kept.
const FEW: RangeInclusive<usize> = 1..=15;
/// Lines that the last 5 s have at most, and those of 2 s in which a busy machine writes them down.
const LOST: usize = 70;

/// A session that numbers its lines.
struct Numbers {
    _ssh: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Numbers {
    fn start(stand: &Stand) -> Self {
        let mut ssh = stand.client.ssh(&[], "demo");
        ssh.arg("n=0; while n=$((n+1)); echo $n; do sleep 0.1; done");
        let mut ssh = ssh.spawn().unwrap();
        let lines = BufReader::new(ssh.stdout.take().unwrap()).lines();
        Self { _ssh: ssh, lines }
    }

    async fn until(&mut self, number: usize) {
        let number = number.to_string();
        let read = async { while self.lines.next_line().await.unwrap().unwrap() != number {} };
        timeout(SOON * 4, read).await.unwrap();
    }
}

/// The recordings that the audit log has begun.
fn begun(dir: &Path) -> Vec<String> {
    let starts = audit(dir, "start");
    let ids = starts
        .iter()
        .filter_map(|start| start["recording"].as_str());
    ids.map(str::to_owned).collect()
}

/// Looks until a recording has all lines up to the last ones, and is right up to where it was cut.
async fn is_kept(client: &Client, id: &str, said: usize) {
    let kept = || async {
        let kept = lines(client, id).await?;
        (kept + LOST >= said).then_some(kept)
    };
    let what = format!("{id} up to line {said}");
    let kept = eventually(&what, SOON * 2, kept).await.unwrap();
    if kept > 0 {
        let (status, words, _) = ask(client, &format!("verify {id}")).await;
        assert_eq!(status, Some(1), "{words}");
    }
}

/// How many lines a recording has. They must be the first ones.
async fn lines(client: &Client, id: &str) -> Option<usize> {
    let (status, played, told) = ask(client, &format!("play {id}")).await;
    if told.contains("there is no recording") {
        return Some(0);
    }
    assert_eq!(status, Some(0), "{told}");
    let numbers: Vec<usize> = played.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len()), "{played}");
    Some(numbers.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_frontdoor_loses_no_more_than_the_last_of_its_recordings() {
    kill(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_while_the_store_is_away() {
    kill(true).await;
}

async fn kill(is_away: bool) {
    let asked = std::env::var("PODGATE_KILLS").ok();
    let kills = asked.map_or(KILLS, |kills| kills.parse().expect("PODGATE_KILLS"));
    let rules = "  spoolFolder: DIR/spool\n  rules: [{record: strict}]\n";
    let (mut stand, dir) = stand(rules).await;
    let ready = async |stand: &Stand| {
        let ready = || async {
            let (status, _) = stand.frontdoor.admin("/readyz").await.ok()?;
            (status == 200).then_some(())
        };
        eventually("readiness", SOON, ready).await.unwrap();
    };
    let mut killed = Vec::new();
    for kill in 0..kills / 2 {
        ready(&stand).await;
        if is_away {
            away(dir.path());
        }
        let before = begun(dir.path()).len();
        let mut sessions: Vec<_> = (0..SESSIONS).map(|_| Numbers::start(&stand)).collect();
        let said = fastrand::usize(if kill % LONG == 0 { LINES } else { FEW });
        for session in &mut sessions {
            session.until(said).await;
        }
        stand.frontdoor.signal(Signal::KILL).unwrap();
        stand.frontdoor.ended().await.unwrap();
        let recordings = begun(dir.path()).split_off(before);
        assert_eq!(recordings.len(), SESSIONS);
        stand.restart_frontdoor().await.unwrap();
        // Sessions must be recorded here, and are, while the store is still away.
        let next = stand.client.run(&[], "demo", "true").await.unwrap();
        assert_eq!(next.status.code(), Some(0), "{next:?}");
        if is_away {
            back(dir.path());
        }
        killed.push((recordings, said));
    }
    for (recordings, said) in &killed {
        let looks = recordings
            .iter()
            .map(|id| is_kept(&stand.client, id, *said));
        join_all(looks).await;
    }
    // What was sent is not kept.
    let counted = ["podgate_frontdoor_recordings_spool_folder_bytes 0"];
    stand.frontdoor.counts(SOON * 2, &counted).await.unwrap();
}
