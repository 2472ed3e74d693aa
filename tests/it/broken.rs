//! A connection on a session's way is taken away by the machine itself (`ss -K`): the session is told, and
//! nothing of it stays, in images with a shell and in those without.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, NODE_IP, Stand};
use podgate_tests::real::containerd::{PodSpec, RunningPod};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// Each image, and a program that it can run for long.
const SLEEPS: [(&str, &str); 3] = [
    ("bb", "sleep 7300"),
    ("deb", "sleep 7300"),
    ("bare", "/probe sleep 7300"),
];

/// What is taken away.
#[derive(Clone, Copy, Debug)]
enum Leg {
    /// From the frontdoor to the agent.
    Link,
    /// From the agent to the kubelet.
    Kubelet,
}

/// Destroys all connections to a port of the node. The other ends learn of it by a reset.
async fn destroy(port: u16) {
    let filter = format!("dport = :{port}");
    let killed = Command::new("ss")
        .args(["-K", "-n", "-t", "dst", NODE_IP, "and", &filter])
        .output()
        .await
        .unwrap();
    assert!(killed.status.success(), "{killed:?}");
    let lines = String::from_utf8_lossy(&killed.stdout).lines().count();
    assert!(lines > 1, "nothing was destroyed: {killed:?}");
}

async fn said(mut ssh: Child) -> String {
    let mut said = String::new();
    let mut stderr = ssh.stderr.take().unwrap();
    let ended = async {
        stderr.read_to_string(&mut said).await.unwrap();
        ssh.wait().await.unwrap()
    };
    let status = timeout(SOON, ended).await.expect("the session stays");
    assert_eq!(status.code(), Some(255), "{said}");
    said
}

async fn nothing_stays(leg: Leg) {
    let changes = Changes {
        helper: true,
        ..Changes::default()
    };
    let stand = Stand::containerd(changes).await.unwrap();
    let mut pods: Vec<RunningPod> = Vec::new();
    for spec in [
        PodSpec::busybox("bb"),
        PodSpec::bash("deb"),
        PodSpec::distroless("bare"),
    ] {
        pods.push(stand.run_pod(spec).await.unwrap());
    }
    let (mut commands, mut shells) = (Vec::new(), Vec::new());
    for (pod, (name, sleep)) in pods.iter().zip(SLEEPS) {
        let mut ssh = stand.client.ssh(&[], name);
        ssh.stdin(Stdio::piped()).stderr(Stdio::piped()).arg(sleep);
        commands.push(ssh.spawn().unwrap());
        let words: Vec<&str> = sleep.split(' ').collect();
        shells.push(stand.client.terminal(name, &words, 24, 80).unwrap());
        let id = pod.container_id("app").unwrap();
        let both = |all: &[(u32, String)]| {
            let sleeps = all.iter().filter(|(_, line)| line.ends_with("sleep 7300"));
            (sleeps.count() >= 2).then_some(())
        };
        stand.until_processes(SOON, id, both).await.unwrap();
    }
    let begun = ["podgate_agent_session_start_seconds_count 6"];
    stand.agent.counts(SOON, &begun).await.unwrap();

    destroy(match leg {
        Leg::Link => stand.agent.port(),
        Leg::Kubelet => stand.kubelet.port(),
    })
    .await;
    let words = match leg {
        Leg::Link => "the connection to the agent on the pod's node was lost",
        Leg::Kubelet => "the session was lost on the pod's node",
    };
    for command in commands {
        let said = said(command).await;
        assert!(said.contains(words), "{leg:?}: {said}");
    }
    for shell in shells {
        let (said, status) = timeout(SOON, shell.end()).await.expect("it stays").unwrap();
        assert_eq!(status, 255, "{leg:?}: {said}");
        assert!(said.contains(words), "{leg:?}: {said}");
    }
    for pod in &pods {
        let id = pod.container_id("app").unwrap();
        let alone = |all: &[(u32, String)]| (all.len() == 1).then_some(());
        if let Err(error) = stand.until_processes(SOON, id, alone).await {
            panic!("{leg:?}, {}: {error}", pod.name);
        }
    }
    stand.until_quiet(SOON).await.unwrap();
    stand
        .until_journal(SOON, <[String]>::is_empty)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_destroyed_leaves_nothing() {
    nothing_stays(Leg::Link).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubelets_connection_that_is_destroyed_leaves_nothing() {
    nothing_stays(Leg::Kubelet).await;
}
