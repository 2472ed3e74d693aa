//! A tenant's containers stand still, so that nothing in them can be hung up: the hang-ups of others do not
//! wait for that.

use std::time::{Duration, Instant};

use podgate_tests::fixtures::stand::Stand;
use podgate_tests::real::containerd::PodSpec;

use super::{SOON, changes, count, kill, spawn};

/// Sessions in the containers that stand still, and in the others.
const STUCK: usize = 12;
const OTHERS: usize = 4;
/// Hang-ups of one container at a time (docs/metrics.md).
const AT_A_TIME: usize = 4;
/// For the hang-ups of the others: far less than a stuck one takes.
const WITHIN: Duration = Duration::from_secs(10);

async fn others_do_not_wait(helper: bool) {
    let stand = Stand::containerd(changes(helper)).await.unwrap();
    let still = stand
        .run_pod(PodSpec::busybox("still").namespace("other"))
        .await
        .unwrap();
    let bb = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let (id, others_id) = (still.container_id("app"), bb.container_id("app"));
    let (id, others_id) = (id.unwrap(), others_id.unwrap());
    let start = |target: &'static str, of: usize| {
        let sessions = (0..of).map(|_| spawn(&stand, target, "sleep 7400"));
        sessions.collect::<Vec<_>>()
    };
    let (stuck, others) = (start("still.other", STUCK), start("bb", OTHERS));
    count(&stand, id, "sleep 7400", STUCK).await;
    count(&stand, others_id, "sleep 7400", OTHERS).await;
    let begun = format!(
        "podgate_agent_session_start_seconds_count {}",
        STUCK + OTHERS
    );
    stand.agent.counts(SOON, &[&begun]).await.unwrap();

    let frozen = still.freeze("app").await.unwrap();
    stuck.iter().for_each(|ssh| kill(ssh.id()));
    // The entry signals from outside, and has no queue.
    if stand.entry.is_none() {
        let waiting = format!("podgate_agent_hangups_waiting {}", STUCK - AT_A_TIME);
        stand.agent.counts(SOON, &[&waiting]).await.unwrap();
    }
    let killed = Instant::now();
    others.iter().for_each(|ssh| kill(ssh.id()));
    count(&stand, others_id, "sleep 7400", 0).await;
    assert!(killed.elapsed() < WITHIN, "{:?}", killed.elapsed());
    let works = stand.client.run(&[], "bb", "echo works").await.unwrap();
    assert_eq!(works.stdout, b"works\n");
    // Nothing of the stuck ones was given up meanwhile.
    count(&stand, id, "sleep 7400", STUCK).await;
    drop(frozen);
    let over = stand.until_journal(3 * SOON, <[String]>::is_empty);
    over.await.unwrap();
    count(&stand, id, "sleep 7400", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stuck_containers_delay_no_others_hang_ups_by_the_image() {
    others_do_not_wait(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stuck_containers_delay_no_others_hang_ups_by_the_helper() {
    others_do_not_wait(true).await;
}
