//! Login names lead where they say: kinds of containers, the default container, namespaces.

use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::stand_ins::apiserver::ApiFault;
use podgate_tests::stand_ins::cluster::pod;
use podgate_tests::stand_ins::embedded::EmbeddedContainer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_every_kind_by_name_and_the_right_one_without() {
    let changes = Changes {
        frontdoor: "defaultNamespace: team\n".into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let embedded = stand.embedded.as_ref().unwrap();
    for id in ["first", "second", "sidecar", "debug", "other"] {
        let env = vec![("WHERE".to_owned(), id.to_owned())];
        let container = EmbeddedContainer {
            env,
            ..EmbeddedContainer::default()
        };
        embedded.container(id, container);
    }
    let web = |namespace: &str, name: &str, uid: &str| {
        pod(namespace, name, uid, NODE, NODE_IP)
            .container("first", "first")
            .container("second", "second")
            .sidecar("proxy", "sidecar")
            .ephemeral_container("debugger", "debug")
    };
    stand.cluster.add(web("team", "web-0", "u1"));
    let default = "kubectl.kubernetes.io/default-container";
    stand
        .cluster
        .add(web("team", "web-1", "u2").annotation(default, "second"));
    stand.cluster.add(web("prod", "a.b", "u3"));
    stand
        .cluster
        .add(pod("prod", "web-0", "u4", NODE, NODE_IP).container("main", "other"));

    for (login, expect) in [
        ("web-0", "first"),
        ("web-0.team", "first"),
        ("pod/web-0", "first"),
        ("pod~web-0", "first"),
        ("po~web-0.prod", "other"),
        ("pods/a.b.prod+proxy", "sidecar"),
        ("web-0+second", "second"),
        ("web-0.team+proxy", "sidecar"),
        ("web-0+debugger", "debug"),
        ("web-1", "second"),
        ("web-1+first", "first"),
        ("web-0.prod", "other"),
        ("a.b.prod", "first"),
    ] {
        let output = stand.client.run(&[], login, "echo $WHERE").await.unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            expect,
            "{login}: {err}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_name_is_answered_by_the_frontdoor_alone() {
    let mut stand = Stand::embedded(Changes::default()).await.unwrap();
    stand.agent.signal(Signal::KILL).unwrap();
    stand.agent.ended().await.unwrap();
    stand.api.set_fault(ApiFault::Refused).await.unwrap();
    let help = include_str!("../../frontdoor/src/login_name/help.txt");
    let bo = stand.add_user("bo").await.unwrap();

    for (client, login, expect) in [
        (&stand.client, "help", help),
        (
            &stand.client,
            "whoami",
            "user: ada\ngroups: dev\nsource: key\n",
        ),
        (&bo, "whoami", "user: bo\nsource: key\n"),
    ] {
        // Whatever the client asks for: a command, a shell without a terminal, or one with.
        let command = client.run(&[], login, "exit 7").await.unwrap();
        let shell = client.ssh(&[], login).output().await.unwrap();
        for output in [command, shell] {
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expect);
            assert!(output.stderr.is_empty(), "{login}: {:?}", output.stderr);
            assert_eq!(output.status.code(), Some(0), "{login}");
        }
        let terminal = client.terminal(login, &[], 24, 80).unwrap();
        let (seen, status) = terminal.end().await.unwrap();
        assert!(
            seen.starts_with(&expect.replace('\n', "\r\n")),
            "{login}: {seen:?}"
        );
        assert_eq!(status, 0, "{login}: {seen}");
    }
    let counted = [
        "podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"exited\"} 9",
        "podgate_frontdoor_sessions_active 0",
    ];
    stand.frontdoor.counts(WITHIN, &counted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_a_reserved_name_is_reached() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    for name in ["help", "pods"] {
        stand
            .cluster
            .add(pod("default", name, name, NODE, NODE_IP).container("main", "demo"));
        for login in [format!("pod/{name}"), format!("{name}.default")] {
            let output = stand.client.run(&[], &login, "echo in").await.unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.stdout, b"in\n", "{login}: {err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tests_try_does() {
    // As a user sees it: the command's own streams and status.
    let stand = podgate_tests::fixtures::gateway::binary("stand").unwrap();
    let run = |command: &'static str| {
        let mut process = Command::new(&stand);
        process.args(["try", "--", command]);
        async move { process.output().await.unwrap() }
    };
    let output = run("echo out; exit 7").await;
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(run("true").await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_tests_try_work() {
    let stand = podgate_tests::fixtures::gateway::binary("stand").unwrap();
    let mut stand = Command::new(stand);
    let stand = stand.arg("try").stdout(Stdio::piped()).kill_on_drop(true);
    let mut stand = stand.spawn().unwrap();
    let mut lines = BufReader::new(stand.stdout.take().unwrap()).lines();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("here"), "words").unwrap();
    let mut outputs = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let words = match line.trim() {
            line if line.starts_with("ssh ") => format!("{line} cat {}", path("here")),
            line if line.starts_with("sftp ") => {
                let put = format!("put {} {}", path("here"), path("there"));
                format!("echo '{put}' | {line} >&2")
            }
            line if line.starts_with("Ctrl-C") => break,
            _ => continue,
        };
        outputs.push(Command::new("sh").arg("-c").arg(words).output().await);
    }
    // So that it ends what it has started.
    let pid = stand.id().and_then(|pid| Pid::from_raw(pid as i32));
    kill_process(pid.unwrap(), Signal::TERM).unwrap();
    assert!(stand.wait().await.unwrap().success());
    let outputs = outputs.into_iter().map(Result::unwrap);
    let all: Vec<_> = outputs.map(|it| (it.status.code(), it.stdout)).collect();
    assert_eq!(all, [(Some(0), b"words".to_vec()), (Some(0), Vec::new())]);
    assert_eq!(std::fs::read(path("there")).unwrap(), b"words");
}
