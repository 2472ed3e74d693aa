//! A pod is deleted, or its container restarts, in mid-session: the session ends soon, and says why.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::instruments::terminal::Terminal;
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use podgate_tests::stand_ins::cluster;
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(10);

struct Sessions {
    command: Child,
    shell: Terminal,
}

async fn start(helper: bool) -> (Stand, RunningPod, Sessions) {
    let changes = Changes {
        helper,
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let pod = stand.run_pod(PodSpec::busybox("bb")).await.unwrap();
    // A node always has pods of its own.
    let proxy = cluster::pod("kube-system", "kube-proxy", "u9", NODE, NODE_IP);
    stand.cluster.add(proxy.container("main", "c9"));
    let mut ssh = stand.client.ssh(&[], "bb");
    let command = ssh.arg("sleep 7200").stdin(Stdio::piped()).spawn().unwrap();
    let mut shell = stand.client.terminal("bb", &[], 24, 80).unwrap();
    shell.send("echo h''ere\n").await.unwrap();
    shell.expect("here").await.unwrap();
    let id = pod.container_id("app").unwrap();
    let runs = |all: &[(u32, String)]| all.iter().find(|(_, line)| line == "sleep 7200").cloned();
    stand.until_processes(WITHIN, id, runs).await.unwrap();
    // The agent learns a little later that the program runs; only then does its session count.
    let begun = ["podgate_agent_session_start_seconds_count 2"];
    stand.agent.counts(WITHIN, &begun).await.unwrap();
    (stand, pod, Sessions { command, shell })
}

impl Sessions {
    async fn say(mut self, why: &str) {
        let mut said = String::new();
        let mut stderr = self.command.stderr.take().unwrap();
        let ended = async {
            stderr.read_to_string(&mut said).await.unwrap();
            self.command.wait().await.unwrap()
        };
        let status = timeout(WITHIN, ended)
            .await
            .expect("the command's session stays");
        assert_eq!(status.code(), Some(255), "{said}");
        assert!(said.contains(why), "{said}");
        let (said, status) = timeout(WITHIN, self.shell.end())
            .await
            .expect("the shell's session stays")
            .unwrap();
        assert_eq!(status, 255, "{said}");
        assert!(said.contains(why), "{said}");
    }
}

/// Removes a pod; the kubelet's list follows as soon as nothing of it runs.
async fn remove(stand: &Stand, pod: RunningPod) {
    let id = pod.container_id("app").unwrap().to_owned();
    let ended = |left: &[(u32, String)]| left.is_empty().then_some(());
    let listed = async {
        stand.until_processes(WITHIN, &id, ended).await.unwrap();
        stand.cluster.remove("default", "bb");
    };
    let (removed, ()) = tokio::join!(pod.remove(), listed);
    removed.unwrap();
}

async fn a_deleted_pod(helper: bool) {
    let (stand, pod, sessions) = start(helper).await;
    remove(&stand, pod).await;
    sessions
        .say("podgate: the session is over: the pod is gone from this node")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_without_helper() {
    a_deleted_pod(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_with_helper() {
    a_deleted_pod(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_whose_streams_stay_open() {
    let (stand, pod, sessions) = start(true).await;
    stand.kubelet.faults().set_frozen(true);
    remove(&stand, pod).await;
    sessions.say("the pod is gone from this node").await;
}

async fn a_restarted_container(helper: bool) {
    let (stand, mut pod, sessions) = start(helper).await;
    pod.restart_container("app").await.unwrap();
    stand.publish(&pod);
    sessions
        .say("podgate: the session is over: the container was restarted")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_container_without_helper() {
    a_restarted_container(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_container_with_helper() {
    a_restarted_container(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_killed_by_itself_is_no_such_thing() {
    for helper in [false, true] {
        let (stand, _pod, _sessions) = start(helper).await;
        let output = stand.client.run(&[], "bb", "kill -9 $$").await.unwrap();
        assert_eq!(output.status.code(), Some(stand.killed_by(9)));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_shim_is_no_failure_to_start() {
    for helper in [false, true] {
        let (stand, pod, sessions) = start(helper).await;
        let id = pod.container_id("app").unwrap();
        // The shim is the parent of the container's first process.
        let first = |all: &[(u32, String)]| {
            let first = all.iter().find(|(_, line)| line == "/bin/sleep infinity");
            first.map(|(pid, _)| *pid)
        };
        let first = stand.until_processes(WITHIN, id, first).await.unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap();
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let shim: i32 = rest.split(' ').nth(1).unwrap().parse().unwrap();
        let shim = rustix::process::Pid::from_raw(shim).unwrap();
        rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
        if stand.entry.is_some() {
            // The runtime kills the container, and the programs' own ends are told: a signal.
            sessions.say("").await;
        } else {
            sessions
                .say(
                    "podgate: the session was lost on the pod's node: the runtime lost the program",
                )
                .await;
            let hung_up = |line: &serde_json::Value| line["message"] == "hung up";
            if stand.agent.wait_log(3 * WITHIN, hung_up).await.is_err() {
                panic!("not hung up:\n{}", stand.agent.log().join("\n"));
            }
        }
        let ended = |all: &[(u32, String)]| with_sleep(all).is_none().then_some(());
        stand.until_processes(WITHIN, id, ended).await.unwrap();
    }
}

fn with_sleep(all: &[(u32, String)]) -> Option<u32> {
    let sleeps = all.iter().find(|(_, line)| line.contains("sleep 7200"));
    sleeps.map(|(pid, _)| *pid)
}
