//! Whichever part goes away, nothing stays behind in the container's foreground, and a program that
//! ended by itself is left alone. With the node helper and without it.

mod grace;
mod matrix;
mod stuck;

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Runs, Stand};
use podgate_tests::instruments::terminal::Terminal;
use podgate_tests::real::containerd::PodSpec;
use podgate_tests::stand_ins::embedded::EmbeddedContainer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

const SOON: Duration = Duration::from_secs(30);
const PODS: [&str; 2] = ["bb", "deb"];

/// A second between SIGHUP and SIGKILL.
fn changes(helper: bool) -> Changes {
    Changes {
        helper,
        agent: "hangUpGraceSeconds: 1\n".into(),
        ..Changes::default()
    }
}

fn terminal(stand: &Stand, target: &str) -> Terminal {
    stand.client.terminal(target, &[], 24, 80).unwrap()
}

fn spawn(stand: &Stand, target: &str, command: &str) -> Child {
    let mut ssh = stand.client.ssh(&[], target);
    ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap()
}

fn kill(pid: Option<u32>) {
    send(pid, Signal::KILL);
}

fn send(pid: Option<u32>, signal: Signal) {
    kill_process(Pid::from_raw(pid.unwrap() as i32).unwrap(), signal).unwrap();
}

/// Pids of the processes that have this in their command line.
fn with(all: &[(u32, String)], word: &str) -> Vec<u32> {
    let found = all.iter().filter(|(_, line)| line.contains(word));
    let mut pids: Vec<_> = found.map(|(pid, _)| *pid).collect();
    pids.sort_unstable();
    pids
}

/// Waits until as many processes of a container have this in their command line.
async fn count(stand: &Stand, container: &str, word: &str, expect: usize) -> Vec<u32> {
    let look = |all: &[(u32, String)]| {
        let found = with(all, word);
        (found.len() == expect).then_some(found)
    };
    match stand.until_processes(SOON, container, look).await {
        Ok(found) => found,
        Err(error) => panic!("not {expect} of {word}: {error}"),
    }
}

/// Someone else's exec at the runtime itself, with its input open.
fn another(stand: &Stand, container: &str, id: &str, words: &[&str]) -> Child {
    let containerd = stand.containerd.as_ref().unwrap();
    containerd.exec_beside(container, id, words).unwrap()
}

async fn a_killed_client_leaves_nothing_in_its_foreground(helper: bool) {
    let (stand, pods) = Stand::with_shells(changes(helper)).await.unwrap();
    for (pod, running) in PODS.iter().zip(&pods) {
        let id = running.container_id("app").unwrap();
        let mut bystander = terminal(&stand, pod);
        bystander.send("echo h''ere; sleep 7001\n").await.unwrap();
        bystander.expect("here").await.unwrap();
        count(&stand, id, "sleep 7001", 1).await;
        let bystanders = stand.containerd.as_ref().unwrap().processes_in(id).len();

        let mut shell = terminal(&stand, pod);
        // One job that heeds a hang-up, one that does not, and one in the foreground.
        shell
            .send("(trap '' HUP; exec sleep 7003) & sleep 7004 & echo h''ere; sleep 7002\n")
            .await
            .unwrap();
        shell.expect("here").await.unwrap();
        count(&stand, id, "sleep 7002", 1).await;
        count(&stand, id, "sleep 7003", 1).await;
        kill(shell.pid());

        count(&stand, id, "sleep 7002", 0).await;
        // The shell has ended, and so has the job that heeds a hang-up, if the shell passes it on. The
        // bystander with the same kind of shell still runs.
        let look = |all: &[(u32, String)]| (all.len() <= bystanders + 2).then_some(());
        stand.until_processes(SOON, id, look).await.unwrap();
        count(&stand, id, "sleep 7001", 1).await;
        count(&stand, id, "sleep 7003", 1).await;
        bystander.send("\x03echo s''till; exit 3\n").await.unwrap();
        bystander.expect("still").await.unwrap();
        assert_eq!(bystander.end().await.unwrap().1, 3);
        hung_up(&stand, "gone").await;
    }
}

/// Waits until the agent has hung something up, with this outcome.
async fn hung_up(stand: &Stand, outcome: &str) {
    let line =
        |line: &serde_json::Value| line["message"] == "hung up" && line["outcome"] == outcome;
    if stand.agent.wait_log(SOON, line).await.is_err() {
        panic!("nothing is {outcome}:\n{}", stand.agent.log().join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_leaves_nothing_in_its_foreground_by_the_image() {
    a_killed_client_leaves_nothing_in_its_foreground(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_leaves_nothing_in_its_foreground_by_the_helper() {
    a_killed_client_leaves_nothing_in_its_foreground(true).await;
}

async fn a_killed_client_leaves_no_command(helper: bool) {
    let (stand, pods) = Stand::with_shells(changes(helper)).await.unwrap();
    for (pod, running) in PODS.iter().zip(&pods) {
        let id = running.container_id("app").unwrap();
        let before = stand.containerd.as_ref().unwrap().processes_in(id).len();
        // A command that reads nothing would never notice by itself.
        let mut ssh = spawn(&stand, pod, "sleep 7005; echo on");
        count(&stand, id, "sleep 7005", 2).await;
        ssh.kill().await.unwrap();
        count(&stand, id, "sleep 7005", 0).await;
        let look = |now: &[(u32, String)]| (now.len() == before).then_some(());
        stand.until_processes(SOON, id, look).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_leaves_no_command_by_the_image() {
    a_killed_client_leaves_no_command(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_client_leaves_no_command_by_the_helper() {
    a_killed_client_leaves_no_command(true).await;
}

/// With a terminal and without one; the background job lives on.
async fn what_ignores_sighup_is_killed_after_the_grace(helper: bool) {
    let (stand, pods) = Stand::with_shells(changes(helper)).await.unwrap();
    for (index, (pod, running)) in PODS.iter().zip(&pods).enumerate() {
        let id = running.container_id("app").unwrap();
        let mut ssh = spawn(&stand, pod, "trap '' HUP; sleep 7011 & sleep 7012; echo on");
        count(&stand, id, "sleep 7012", 2).await;
        let mut shell = terminal(&stand, pod);
        let line = "(trap '' HUP; exec sleep 7013) & trap '' HUP; echo h''ere; sleep 7014\n";
        shell.send(line).await.unwrap();
        shell.expect("here").await.unwrap();
        count(&stand, id, "sleep 7014", 1).await;
        ssh.kill().await.unwrap();
        kill(shell.pid());
        count(&stand, id, "sleep 7012", 0).await;
        count(&stand, id, "sleep 7014", 0).await;
        let killed = format!(
            "podgate_agent_hangups_total{{outcome=\"killed\"}} {}",
            2 * (index + 1)
        );
        stand.agent.counts(SOON, &[&killed]).await.unwrap();
        count(&stand, id, "sleep 7011", 1).await;
        count(&stand, id, "sleep 7013", 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ignores_sighup_is_killed_after_the_grace_by_the_image() {
    what_ignores_sighup_is_killed_after_the_grace(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ignores_sighup_is_killed_after_the_grace_by_the_helper() {
    what_ignores_sighup_is_killed_after_the_grace(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_shell_only_the_sessions_own_process_is_hung_up() {
    let stand = Stand::containerd(changes(true)).await.unwrap();
    let pod = stand.run_pod(PodSpec::distroless("bare")).await.unwrap();
    let id = pod.container_id("app").unwrap();
    let words = ["/probe", "sleep", "7020"];
    // Our sessions and execs of others with the very same words, in turn. Ours are with input, with its
    // end, and with a terminal.
    let (mut all, mut others, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..4 {
        others.push(another(&stand, id, &format!("other{round}"), &words));
        new(&stand, id, &mut all).await;
        let session = match round {
            0 => Session::Command(spawn(&stand, "bare", &words.join(" "))),
            1 => {
                let mut ssh = spawn(&stand, "bare", &words.join(" "));
                drop(ssh.stdin.take());
                Session::Command(ssh)
            }
            _ => Session::Terminal(stand.client.terminal("bare", &words, 24, 80).unwrap()),
        };
        let pid = new(&stand, id, &mut all).await;
        sessions.push((session, pid));
        // A process that starts the same words before the helper has looked would raise a doubt.
        if stand.entry.is_none() {
            known(&stand, sessions.len()).await;
        }
    }
    for (session, pid) in sessions {
        match session {
            Session::Command(mut ssh) => ssh.kill().await.unwrap(),
            Session::Terminal(shell) => kill(shell.pid()),
        }
        all.retain(|one| *one != pid);
        let look = |now: &[(u32, String)]| (with(now, "sleep 7020") == all).then_some(());
        if let Err(error) = stand.until_processes(SOON, id, look).await {
            panic!("not {pid} alone: {error}");
        }
    }
    for other in &mut others {
        assert!(other.try_wait().unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_surely_the_sessions_own_is_let_be() {
    let stand = Stand::containerd(changes(true)).await.unwrap();
    let pod = stand.run_pod(PodSpec::distroless("bare")).await.unwrap();
    let id = pod.container_id("app").unwrap();
    let words = ["/probe", "sleep", "7020"];
    // Two of the same words before the helper has looked, both at the end of their input: nothing tells
    // them apart.
    let helper = stand.helper.as_ref().unwrap().pid();
    send(helper, Signal::STOP);
    let mut all = Vec::new();
    let mut ssh = spawn(&stand, "bare", &words.join(" "));
    drop(ssh.stdin.take());
    let ours = new(&stand, id, &mut all).await;
    let mut other = another(&stand, id, "other", &words);
    drop(other.stdin.take());
    new(&stand, id, &mut all).await;
    send(helper, Signal::CONT);
    ssh.kill().await.unwrap();
    // The node entry knows its own.
    let outcome = if stand.entry.is_some() {
        all.retain(|pid| *pid != ours);
        "gone"
    } else {
        "in_doubt"
    };
    hung_up(&stand, outcome).await;
    let counted = format!("podgate_agent_hangups_total{{outcome=\"{outcome}\"}} 1");
    stand.agent.counts(SOON, &[&counted]).await.unwrap();
    let containerd = stand.containerd.as_ref().unwrap();
    let now = containerd.processes_in(id);
    assert_eq!(with(&now, "sleep 7020"), all);
}

enum Session {
    Command(Child),
    Terminal(Terminal),
}

/// Waits until the processes of so many sessions are known.
async fn known(stand: &Stand, sessions: usize) {
    let leads = |entry: &&String| entry.contains(r#""leader":{"container""#);
    let all = |all: &[String]| all.iter().filter(leads).count() == sessions;
    stand.until_journal(SOON, all).await.unwrap();
}

/// The pid of the one process that is new.
async fn new(stand: &Stand, container: &str, known: &mut Vec<u32>) -> u32 {
    let now = count(stand, container, "sleep 7020", known.len() + 1).await;
    let new = now.into_iter().find(|pid| !known.contains(pid)).unwrap();
    known.push(new);
    known.sort_unstable();
    new
}

/// Ours and others' of the very same command.
async fn fifty_others_go_on(helper: bool) {
    let stand = Stand::containerd(changes(helper)).await.unwrap();
    let pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    let id = pod.container_id("app").unwrap();
    // It reads nothing and ignores SIGHUP, so it does not notice by itself that its session is over.
    let command = "trap '' HUP; while ! [ -e /tmp/go ]; do sleep 0.1; done; exit 3";
    let shared = stand.client.share("bb").await.unwrap();
    let mut ours = Vec::new();
    for _ in 0..40 {
        let mut ssh = stand.client.ssh(&[&shared.option], "bb");
        let ssh = ssh.arg(command).stdin(Stdio::piped());
        ours.push(ssh.spawn().unwrap());
    }
    let others = (0..10).map(|n| another(&stand, id, &format!("o{n}"), &["sh", "-c", command]));
    let mut others: Vec<_> = others.collect();
    let mut one = spawn(&stand, "bb", command);
    let until = async |expect| {
        let look = |all: &[(u32, String)]| {
            let running = |(_, line): &&(u32, String)| line.starts_with("sh -c trap");
            (all.iter().filter(running).count() == expect).then_some(())
        };
        if let Err(error) = stand.until_processes(SOON, id, look).await {
            panic!("not {expect}: {error}");
        }
    };
    until(51).await;
    one.kill().await.unwrap();
    hung_up(&stand, "killed").await;
    until(50).await;
    for ssh in ours.iter_mut().chain(&mut others) {
        assert!(ssh.try_wait().unwrap().is_none());
    }
    stand.client.run(&[], "bb", "touch /tmp/go").await.unwrap();
    for mut ssh in ours.into_iter().chain(others) {
        assert_eq!(ssh.wait().await.unwrap().code(), Some(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_others_go_on_by_the_image() {
    fifty_others_go_on(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_others_go_on_by_the_helper() {
    fifty_others_go_on(true).await;
}

async fn after_a_normal_end_nothing_is_killed(helper: bool) {
    let (stand, pods) = Stand::with_shells(changes(helper)).await.unwrap();
    let id = pods[0].container_id("app").unwrap();
    let command = "sleep 7006 >/dev/null 2>&1 </dev/null & echo started";
    let output = stand.client.run(&[], "bb", command).await.unwrap();
    assert_eq!(output.stdout, b"started\n");
    stand
        .agent
        .wait_log(SOON, |line| line["message"] == "session ends")
        .await
        .unwrap();
    count(&stand, id, "sleep 7006", 1).await;
    let (_, metrics) = stand.agent.admin("/metrics").await.unwrap();
    assert!(
        !metrics.contains("podgate_agent_hangups_total{"),
        "{metrics}"
    );
    let entries = std::fs::read_dir(stand.dir().join("journal")).unwrap();
    assert_eq!(entries.count(), 1, "the lock alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_normal_end_nothing_is_killed_by_the_image() {
    after_a_normal_end_nothing_is_killed(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_normal_end_nothing_is_killed_by_the_helper() {
    after_a_normal_end_nothing_is_killed(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_after_it_was_given_up_is_hung_up() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    // A runtime that takes longer than users may wait. The program then runs after all.
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
    assert!(text.contains("did not answer in time"), "{text}");
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
