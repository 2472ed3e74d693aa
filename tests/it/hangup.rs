//! Whoever goes, nothing stays behind in the container; what ended by itself is left alone.

use std::time::Duration;

use podgate_tests::containerd::{Containerd, eventually};
use podgate_tests::embedded::EmbeddedContainer;
use podgate_tests::stand::{Changes, Stand};
use podgate_tests::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process};

const SOON: Duration = Duration::from_secs(8);
const PODS: [&str; 2] = ["bb", "deb"];

fn terminal(stand: &Stand, target: &str) -> Terminal {
    stand.client.terminal(target, &[], 24, 80).unwrap()
}

/// Waits until as many processes of a container have this in their command line.
async fn count(stand: &Stand, containerd: &Containerd, container: &str, word: &str, expect: usize) {
    let look = || async {
        let all = containerd.processes_in(container);
        (all.iter().filter(|(_, line)| line.contains(word)).count() == expect).then_some(())
    };
    if eventually(word, SOON, look).await.is_err() {
        let all = containerd.processes_in(container);
        panic!(
            "not {expect} of {word}: {all:?}\n{}",
            stand.agent.log().join("\n")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_leaves_no_shell_and_nothing_in_its_foreground() {
    let (stand, pods) = Stand::with_shells().await.unwrap();
    let containerd = stand.containerd.as_ref().unwrap();
    for (pod, running) in PODS.iter().zip(&pods) {
        let id = running.container_id("app").unwrap();
        let before = containerd.processes_in(id).len();
        let mut bystander = terminal(&stand, pod);
        bystander.send("echo h''ere; sleep 7001\n").await.unwrap();
        bystander.expect("here").await.unwrap();
        count(&stand, containerd, id, "sleep 7001", 1).await;
        let with_bystander = containerd.processes_in(id).len();

        let mut shell = terminal(&stand, pod);
        // One job that minds a hang-up and one that does not, and one in the foreground.
        shell
            .send("(trap '' HUP; exec sleep 7003) & sleep 7004 & echo h''ere; sleep 7002\n")
            .await
            .unwrap();
        shell.expect("here").await.unwrap();
        count(&stand, containerd, id, "sleep 7002", 1).await;
        count(&stand, containerd, id, "sleep 7003", 1).await;
        let client = Pid::from_raw(shell.pid().unwrap() as i32).unwrap();
        kill_process(client, Signal::KILL).unwrap();

        count(&stand, containerd, id, "sleep 7002", 0).await;
        // The shell is gone, too; the bystander with the same kind of shell is not.
        let look =
            || async { (containerd.processes_in(id).len() <= with_bystander + 2).then_some(()) };
        eventually("the shell's end", SOON, look).await.unwrap();
        count(&stand, containerd, id, "sleep 7001", 1).await;
        count(&stand, containerd, id, "sleep 7003", 1).await;
        bystander.send("\x03echo s''till; exit 3\n").await.unwrap();
        bystander.expect("still").await.unwrap();
        assert_eq!(bystander.end().await.unwrap().1, 3);
        stand.client.run(&[], pod, "kill $(ps | grep 'sleep 700' | grep -v grep | while read p r; do echo $p; done); true").await.unwrap();
        if *pod == "bb" {
            let look = || async { (containerd.processes_in(id).len() == before).then_some(()) };
            let left = eventually("nothing left", SOON, look).await;
            assert!(left.is_ok(), "{:?}", containerd.processes_in(id));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_leaves_no_command() {
    let (stand, pods) = Stand::with_shells().await.unwrap();
    let containerd = stand.containerd.as_ref().unwrap();
    for (pod, running) in PODS.iter().zip(&pods) {
        let id = running.container_id("app").unwrap();
        let before = containerd.processes_in(id).len();
        // A command that reads nothing would never notice by itself; one that ignores SIGHUP is
        // killed after the grace, which takes longer than this test waits.
        let mut ssh = stand
            .client
            .ssh(&[], pod)
            .arg("sleep 7005; echo on")
            .spawn()
            .unwrap();
        count(&stand, containerd, id, "sleep 7005", 3).await;
        ssh.kill().await.unwrap();
        count(&stand, containerd, id, "sleep 7005", 0).await;
        let look = || async { (containerd.processes_in(id).len() == before).then_some(()) };
        eventually("nothing left", SOON, look).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_normal_end_nothing_is_killed() {
    let (stand, pods) = Stand::with_shells().await.unwrap();
    let containerd = stand.containerd.as_ref().unwrap();
    let id = pods[0].container_id("app").unwrap();
    let command = "sleep 7006 >/dev/null 2>&1 </dev/null & echo started";
    let output = stand.client.run(&[], "bb", command).await.unwrap();
    assert_eq!(output.stdout, b"started\n");
    stand
        .agent
        .wait_log(SOON, |line| line["message"] == "session ends")
        .await
        .unwrap();
    count(&stand, containerd, id, "sleep 7006", 1).await;
    let (_, metrics) = stand.agent.admin("/metrics").await.unwrap();
    assert!(
        !metrics.contains("podgate_agent_hangups_total{"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_after_it_was_given_up_is_hung_up() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    // A runtime that takes longer than users are made to wait; then the program runs after all.
    let bin = stand.dir().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let gate = stand.dir().join("gate");
    let wait = format!("read x <{}", gate.display());
    let slow = format!(
        "#!/bin/sh\ncase $3 in podgate:*) {wait};; esac\nPATH=/bin:/usr/bin exec /bin/sh \"$@\"\n"
    );
    std::fs::write(bin.join("sh"), slow).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(bin.join("sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&gate)
        .status()
        .unwrap();
    assert!(made.success());
    let embedded = stand.embedded.as_ref().unwrap();
    let path = Some(bin.display().to_string());
    let container = EmbeddedContainer {
        path,
        ..EmbeddedContainer::default()
    };
    embedded.container("demo", container);

    let output = stand.client.run(&[], "demo", "sleep 7008").await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(255), "{text}");
    assert!(text.contains("slow or silent"), "{text}");
    assert_eq!(embedded.running().len(), 1);
    std::fs::write(&gate, "go\n").unwrap();
    if tokio::time::timeout(SOON, embedded.until_running(0))
        .await
        .is_err()
    {
        panic!(
            "{:?} stays behind\n{}",
            embedded.running(),
            stand.agent.log().join("\n")
        );
    }
}
