//! What a hang-up leaves a program: time to save, and a single SIGHUP. Programs that have detached
//! themselves are spared.

use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;

/// Waits three seconds in its handler, as it writes, and counts how often it is called.
const SAVES: &str = "trap 'n=$((n+1)); echo saving; sleep 3 && echo saved >&2 && echo $n >>/tmp/saved; exit 0' HUP; \
    n=0; echo up; while :; do sleep 0.1; done";
/// The same for a terminal that has hung up: nothing can be written there any more (tty_ioctl(4), EIO).
const SAVES_SILENTLY: &str = "trap 'n=$((n+1)); sleep 3 && echo $n >>/tmp/saved; exit 0' HUP; \
    n=0; echo up; while :; do sleep 0.1; done";

fn longer(helper: bool) -> Changes {
    Changes {
        helper,
        agent: "hangUpGraceSeconds: 6\n".into(),
        ..Changes::default()
    }
}

/// Processes of a container that have exactly this command line.
fn exactly(all: &[(u32, String)], line: &str) -> usize {
    all.iter().filter(|(_, one)| one == line).count()
}

async fn until_hangups(stand: &Stand, outcome: &str, expect: usize) {
    let counted = format!("podgate_agent_hangups_total{{outcome=\"{outcome}\"}} {expect}");
    stand.agent.counts(SOON, &[&counted]).await.unwrap();
}

async fn a_program_has_its_grace_and_one_sighup(helper: bool) {
    let (stand, pods) = Stand::with_shells(longer(helper)).await.unwrap();
    for (index, (pod, running)) in PODS.iter().zip(&pods).enumerate() {
        let id = running.container_id("app").unwrap();
        let before = stand.containerd.as_ref().unwrap().processes_in(id).len();
        let mut ssh = spawn(&stand, pod, SAVES);
        let mut stdout = BufReader::new(ssh.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        assert_eq!(line, "up\n");
        // The kubelet's way keeps a terminal open until the grace is over; the node entry's closes it
        // as sshd does.
        let saves = match stand.entry {
            Some(_) => SAVES_SILENTLY,
            None => SAVES,
        };
        let mut shell = stand.client.terminal(pod, &[saves], 24, 80).unwrap();
        shell.expect("up").await.unwrap();
        ssh.kill().await.unwrap();
        kill(shell.pid());
        let look = |now: &[(u32, String)]| (now.len() == before).then_some(());
        stand.until_processes(SOON, id, look).await.unwrap();
        let saved = stand.client.run(&[], pod, "cat /tmp/saved").await.unwrap();
        assert_eq!(String::from_utf8_lossy(&saved.stdout), "1\n1\n", "{pod}");
        until_hangups(&stand, "gone", 2 * (index + 1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_its_grace_and_one_sighup_by_the_image() {
    a_program_has_its_grace_and_one_sighup(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_its_grace_and_one_sighup_by_the_helper() {
    a_program_has_its_grace_and_one_sighup(true).await;
}

/// Editors start their servers in this way: all three descriptors lead elsewhere, and their children
/// are joined by pipes.
async fn what_has_detached_itself_lives_on(helper: bool) {
    let (stand, pods) = Stand::with_shells(changes(helper)).await.unwrap();
    // Of several background jobs in a row, bash gives only the first one /dev/null to read.
    let command = "sleep 7041 & sleep 7040 >/dev/null 2>&1 </dev/null & \
        { sh -c 'sleep 7042 | sleep 7043' </dev/null >/dev/null 2>&1; } | { sleep 7044 </dev/null; } | sleep 7045";
    for (index, (pod, running)) in PODS.iter().zip(&pods).enumerate() {
        let id = running.container_id("app").unwrap();
        let mut ssh = spawn(&stand, pod, command);
        let count = async |expect: [usize; 6]| {
            let look = |all: &[(u32, String)]| {
                let lines = [7040, 7041, 7042, 7043, 7044, 7045].map(|n| format!("sleep {n}"));
                (lines.map(|line| exactly(all, &line)) == expect).then_some(())
            };
            if let Err(error) = stand.until_processes(SOON, id, look).await {
                panic!("not {expect:?} in {pod}: {error}");
            }
        };
        count([1; 6]).await;
        ssh.kill().await.unwrap();
        count([1, 1, 1, 1, 0, 0]).await;
        until_hangups(&stand, "gone", index + 1).await;
        count([1, 1, 1, 1, 0, 0]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_detached_itself_lives_on_by_the_image() {
    what_has_detached_itself_lives_on(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_detached_itself_lives_on_by_the_helper() {
    what_has_detached_itself_lives_on(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_helper_an_agent_hangs_up_by_the_image_and_says_so_once() {
    let changes = Changes {
        runs: Runs::Kubelet,
        ..changes(true)
    };
    let mut stand = Stand::containerd(changes).await.unwrap();
    let pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let id = pod.container_id("app").unwrap();
    let mut sessions: Vec<_> = (0..3).map(|_| spawn(&stand, "bb", "sleep 7050")).collect();
    let sleeps =
        |expect| move |all: &[(u32, String)]| (exactly(all, "sleep 7050") == expect).then_some(());
    stand.until_processes(SOON, id, sleeps(3)).await.unwrap();
    drop(stand.helper.take());
    for ssh in &mut sessions {
        ssh.kill().await.unwrap();
    }
    stand.until_processes(SOON, id, sleeps(0)).await.unwrap();
    until_hangups(&stand, "gone", 3).await;
    let replaced = "podgate_agent_helper_replaced_total 3";
    stand.agent.counts(SOON, &[replaced]).await.unwrap();
    let log = stand.agent.log();
    let said = log
        .iter()
        .filter(|line| line.contains("the node helper is absent"));
    assert_eq!(said.count(), 1, "{}", log.join("\n"));
}
