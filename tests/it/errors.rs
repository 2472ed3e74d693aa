//! Each step that can fail gives one plain line on stderr that names it, and status 255, within 10 s.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use podgate_tests::fixtures::images::Image;
use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};
use podgate_tests::stand_ins::apiserver::ApiFault;
use podgate_tests::stand_ins::cluster::pod;
use podgate_tests::stand_ins::kubelet::{ExecFault, Leg, ServerCertificate};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

const WITHIN: Duration = Duration::from_secs(10);

async fn stand() -> Stand {
    Stand::embedded(Changes::default()).await.unwrap()
}

/// Runs `true` in a target that must fail, and gives the line.
async fn failure(stand: &Stand, target: &str) -> String {
    let begun = Instant::now();
    let output = stand.client.run(&[], target, "true").await.unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(255), "{target}: {line}");
    assert!(
        begun.elapsed() < WITHIN,
        "{target}: {:?}: {line}",
        begun.elapsed()
    );
    assert!(output.stdout.is_empty(), "{target}");
    assert!(
        line.starts_with("podgate: ") && line.ends_with("\r\n"),
        "{target}: {line:?}"
    );
    assert_eq!(line.lines().count(), 1, "{target}: {line:?}");
    line
}

async fn works(stand: &Stand) {
    let output = stand.client.run(&[], "demo", "echo works").await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"works\n", "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_not_there() {
    let stand = stand().await;
    stand
        .cluster
        .add(pod("default", "ended", "u2", NODE, NODE_IP).ended_container("main", "c"));
    for (target, words) in [
        ("nosuch", "no pod nosuch in namespace default"),
        ("demo.elsewhere", "no pod demo in namespace elsewhere"),
        (
            "demo+nosuch",
            "no container nosuch in pod demo; it has main",
        ),
        ("ended", "container main is not running"),
        (
            "Demo",
            "the pod's name is not valid in Kubernetes; log in as ",
        ),
        (
            "pod/Demo",
            "log in as [kind/]name[.namespace][+container] or label=value",
        ),
        ("demo.Prod", "the namespace is not valid in Kubernetes; "),
        ("deplyo/demo", "the kind is unknown; "),
        (
            "svc/a.b.prod",
            "the service's name is not valid in Kubernetes; ",
        ),
        ("app=web,tier", "a label has no value; "),
        ("pod/app=web", "a label cannot have a kind; "),
        ("deploy/demo", "no deploy/demo in namespace default"),
        ("app=demo", "no pod with app=demo in namespace default"),
    ] {
        let line = failure(&stand, target).await;
        assert!(line.contains(words), "{target}: {line}");
    }
    works(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_away_or_silent() {
    let stand = stand().await;
    for fault in [ApiFault::Refused, ApiFault::Silent, ApiFault::InternalError] {
        stand.api.set_fault(fault).await.unwrap();
        let line = failure(&stand, "demo").await;
        assert!(
            line.contains("the Kubernetes API server cannot be asked"),
            "{line}"
        );
    }
    stand.api.set_fault(ApiFault::None).await.unwrap();
    works(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_down_or_another() {
    let mut stand = stand().await;
    works(&stand).await;
    stand.agent.signal(Signal::KILL).unwrap();
    stand.agent.ended().await.unwrap();
    let line = failure(&stand, "demo").await;
    assert!(
        line.contains("the agent on node node-a cannot be reached"),
        "{line}"
    );
    stand.restart_agent().await.unwrap();
    works(&stand).await;

    // Another node's agent answers at this node's address. Its certificate is of the right CA.
    stand
        .cluster
        .add(pod("default", "far", "u3", "node-b", NODE_IP).container("main", "far"));
    let line = failure(&stand, "far").await;
    assert!(
        line.contains("the agent on node node-b is not trusted"),
        "{line}"
    );
    works(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_hangs_up_in_the_handshake_is_not_reached() {
    let stand = stand().await;
    let busy = TcpListener::bind(("127.0.0.7", stand.agent.port())).unwrap();
    std::thread::spawn(move || busy.incoming().for_each(drop));
    stand
        .cluster
        .add(pod("default", "far", "u3", "node-b", "127.0.0.7").container("main", "far"));
    let line = failure(&stand, "far").await;
    assert!(
        line.contains("the agent on node node-b cannot be reached"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_stopped_in_its_tracks_is_given_up() {
    let stand = stand().await;
    works(&stand).await;
    stand.agent.signal(Signal::STOP).unwrap();
    let line = failure(&stand, "demo").await;
    assert!(line.contains("the agent on node node-a"), "{line}");
    stand.agent.signal(Signal::CONT).unwrap();
    works(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_down_silent_or_untrusted() {
    let stand = stand().await;
    let kubelet = &stand.kubelet;
    for (leg, words) in [
        (
            Leg::Refused,
            "the kubelet on the pod's node cannot be reached",
        ),
        (
            Leg::TlsSilent,
            "the kubelet on the pod's node cannot be reached",
        ),
        (
            Leg::HttpSilent,
            "the kubelet on the pod's node cannot be reached",
        ),
    ] {
        kubelet.set_leg(leg).await.unwrap();
        kubelet.cut().await.unwrap();
        let line = failure(&stand, "demo").await;
        assert!(line.contains(words), "{leg:?}: {line}");
    }
    kubelet.set_leg(Leg::Up).await.unwrap();
    for certificate in [ServerCertificate::Untrusted, ServerCertificate::WrongName] {
        kubelet.faults().set_certificate(certificate);
        kubelet.restart().await.unwrap();
        let line = failure(&stand, "demo").await;
        assert!(
            line.contains("the kubelet on the pod's node is not trusted"),
            "{line}"
        );
    }
    kubelet.faults().set_certificate(ServerCertificate::Good);
    kubelet.restart().await.unwrap();
    works(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubelet_refuses() {
    let stand = stand().await;
    let answer = |status, body: &str| ExecFault::Answer(status, body.to_owned());
    for (fault, words) in [
        (
            answer(401, "Unauthorized"),
            "refused the agent (401): it does not accept the agent's token or certificate",
        ),
        (
            answer(403, "Forbidden (user=…)"),
            "refused the agent (403): the agent's identity needs create on nodes/proxy",
        ),
        (
            answer(404, "pod does not exist"),
            "the pod is gone from its node",
        ),
        (
            answer(500, "container not found (\"main\")"),
            "the container is not running",
        ),
        (answer(429, "too many"), "refused the exec (429): too many"),
        (
            ExecFault::Unanswered,
            "cannot be reached: no answer to the request",
        ),
        (
            ExecFault::Mute,
            "the kubelet on the pod's node or its runtime did not answer in time",
        ),
    ] {
        stand.kubelet.faults().set_exec(fault.clone());
        let line = failure(&stand, "demo").await;
        assert!(line.contains(words), "{fault:?}: {line}");
    }
    stand.kubelet.faults().set_exec(ExecFault::None);
    stand
        .kubelet
        .faults()
        .set_pods(Some((403, "Forbidden".into())));
    let line = failure(&stand, "demo").await;
    assert!(
        line.contains("refused to list its pods for the agent (403)"),
        "{line}"
    );
    // A kubelet that has just started does not know its pods yet.
    let none = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":null}"#;
    for items in ["null", "[]"] {
        let none = none.replace("null", items);
        stand.kubelet.faults().set_pods(Some((200, none)));
        for fault in [ExecFault::None, answer(404, "pod does not exist")] {
            stand.kubelet.faults().set_exec(fault.clone());
            let line = failure(&stand, "demo").await;
            let words = "podgate: the kubelet on the pod's node is not ready yet";
            assert!(line.starts_with(words), "{fault:?}: {line}");
        }
    }
    stand.kubelet.faults().set_exec(ExecFault::None);
    stand.kubelet.faults().set_pods(None);
    works(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_container_that_runs_is_named() {
    let stand = stand().await;
    let pod = pod("default", "slow", "slow-uid", NODE, NODE_IP);
    let pod = pod
        .pending_init("wait", "wait-id")
        .waiting_container("main");
    stand.cluster.add(pod.phase("Pending").unready());
    assert_eq!(
        failure(&stand, "slow").await,
        "podgate: container main is not running yet: init container wait runs before it\r\n"
    );
    // The init container itself can be entered.
    let line = failure(&stand, "slow+none").await;
    assert!(line.contains("it has main, wait"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_pod_is_not_entered_and_nothing_runs_in_it() {
    let stand = stand().await;
    // The API server's answer when the frontdoor asked, and what the kubelet says by now.
    let flag = stand.dir().join("ran");
    for (uid, id, words) in [
        (
            "another-uid",
            "demo",
            "the pod was replaced by another of the same name; try again",
        ),
        (
            "demo-uid",
            "another-id",
            "the container was restarted in the meantime; try again",
        ),
    ] {
        let now = pod("default", "demo", uid, NODE, NODE_IP)
            .container("main", id)
            .build();
        let mut list = serde_json::to_value(&now).unwrap();
        list = serde_json::json!({"kind": "PodList", "apiVersion": "v1", "items": [list.take()]});
        stand
            .kubelet
            .faults()
            .set_pods(Some((200, list.to_string())));
        let command = format!("touch {}", flag.display());
        let output = stand.client.run(&[], "demo", &command).await.unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(255), "{line}");
        assert!(line.contains(words), "{line}");
        assert!(!flag.exists(), "the command ran");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_own_rules_are_the_last_word() {
    let deny = "deny: {namespaces: [secret], hostNetwork: true}\n";
    let changes = Changes {
        agent: deny.into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    stand
        .cluster
        .add(pod("secret", "demo", "u2", NODE, NODE_IP).container("main", "demo"));
    stand.cluster.add(
        pod("default", "host", "u3", NODE, NODE_IP)
            .container("main", "demo")
            .host_network(),
    );
    let line = failure(&stand, "demo.secret").await;
    assert!(
        line.contains("sessions in namespace \"secret\" are denied on this node"),
        "{line}"
    );
    let line = failure(&stand, "host").await;
    assert!(
        line.contains("pods on the host network are denied on this node"),
        "{line}"
    );
    works(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lost_in_mid_session_is_said() {
    let mut stand = stand().await;
    for leg in ["kubelet", "truncated", "status", "agent"] {
        stand.kubelet.faults().set_omit_status(leg == "status");
        let mut ssh = stand.client.ssh(&[], "demo");
        ssh.stdin(std::process::Stdio::piped());
        let mut child = ssh.arg("echo up; cat; echo down").spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        assert_eq!(line, "up\n", "{leg}");
        let begun = Instant::now();
        match leg {
            "kubelet" => stand.kubelet.cut().await.unwrap(),
            "truncated" => {
                stand.kubelet.faults().set_cut_after(Some(0));
                drop(child.stdin.take());
            }
            "status" => drop(child.stdin.take()),
            _ => stand.agent.signal(Signal::KILL).unwrap(),
        }
        let mut error = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut error)
            .await
            .unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), Some(255), "{leg}: {error}");
        assert!(begun.elapsed() < WITHIN, "{leg}: {:?}", begun.elapsed());
        let words = match leg {
            "agent" => "the connection to the agent on the pod's node was lost during the session",
            "status" => "the kubelet gave no exit status",
            _ => "the session was lost on the pod's node",
        };
        assert!(error.contains(words), "{leg}: {error}");
        assert_eq!(error.lines().count(), 1, "{leg}: {error}");
        stand.kubelet.faults().set_cut_after(None);
    }
    stand.agent.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_at_its_limit_of_processes() {
    let (stand, pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in &pods {
        // The program by which the image sleeps, and one more that can start nothing itself.
        for most in [1, 2] {
            pod.limit_processes("app", Some(most)).await.unwrap();
            for options in [&[][..], &["-tt"]] {
                let output = stand
                    .client
                    .run(options, &pod.name, "true; true")
                    .await
                    .unwrap();
                let line = String::from_utf8_lossy(&output.stderr).into_owned();
                // With the node entry no process stands before the shell, which needs no other here;
                // but runc's own may be refused a thread.
                if stand.entry.is_some() {
                    let no_thread = line.contains("its limit of processes or of memory");
                    assert!(output.status.success() || no_thread, "{}: {line}", pod.name);
                    continue;
                }
                assert!(
                    output.status.code() == Some(255),
                    "{} {options:?} {most}: {line}",
                    pod.name
                );
                assert!(
                    line.contains("limit of processes"),
                    "{} {options:?}: {line}",
                    pod.name
                );
            }
        }
        pod.limit_processes("app", None).await.unwrap();
        let output = stand
            .client
            .run(&[], &pod.name, "echo works")
            .await
            .unwrap();
        assert_eq!(output.stdout, b"works\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_at_its_limit_of_memory() {
    let (stand, pods) = Stand::with_shells(Changes::default()).await.unwrap();
    for pod in &pods {
        pod.limit_memory("app", Some(16 << 20)).await.unwrap();
        // tail holds a line without an end in memory.
        let command = "tail -n 1 /dev/zero";
        let output = stand.client.run(&[], &pod.name, command).await.unwrap();
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        // Its own, or that of a shell before it.
        let code = output.status.code();
        assert!(
            [Some(137), Some(stand.killed_by(9))].contains(&code),
            "{}: {code:?}, {line}",
            pod.name
        );
        assert!(
            line.contains("podgate: the container has reached its limit of memory"),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_folder_that_is_gone() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let app = ContainerSpec::new("app", Image::Busybox).working_dir("/tmp/gone");
    let _pod = stand
        .run_pod(PodSpec::new("bb").container(app))
        .await
        .unwrap();
    let output = stand
        .client
        .run(&[], "bb", "rmdir /tmp/gone; pwd")
        .await
        .unwrap();
    assert_eq!(output.stdout, b"/root\n");
    if stand.entry.is_some() {
        let output = stand.client.run(&[], "bb", "echo works").await.unwrap();
        let remark = "podgate: the container's working folder is gone; the session begins in /\r\n";
        assert_eq!(output.stdout, b"works\n");
        assert_eq!(output.stderr, remark.as_bytes());
        return;
    }
    let line = failure(&stand, "bb").await;
    assert!(
        line.contains("the container's working folder /tmp/gone is gone"),
        "{line}"
    );
}
