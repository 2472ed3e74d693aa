//! SIGTERM: the part is not ready any more and takes no new sessions. Running sessions are told, may go
//! on until the deadline, and are then ended. A second SIGTERM ends them at once. A frontdoor that
//! cannot serve on its cores ends by itself.

use std::time::{Duration, Instant};

use podgate_tests::fixtures::gateway::binary;
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::stand_ins::apiserver::{ApiFault, ApiServer};
use podgate_tests::stand_ins::cluster::{Cluster, pod};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn stand(seconds: u32) -> Stand {
    let drain = format!("drainSeconds: {seconds}\n");
    Stand::embedded(Changes {
        agent: drain.clone(),
        // One core, so that there is one connection to the agent.
        frontdoor: format!("{drain}workers: 1\n"),
        ..Changes::default()
    })
    .await
    .unwrap()
}

/// A session that runs until its stdin ends.
async fn session(stand: &Stand) -> Child {
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.stdin(std::process::Stdio::piped());
    let mut child = ssh.arg("echo up; cat; exit 3").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .await
        .unwrap();
    assert_eq!(line, "up\n");
    child
}

async fn error(child: &mut Child) -> (Option<i32>, String) {
    let mut text = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .await
        .unwrap();
    (child.wait().await.unwrap().code(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_lets_sessions_finish() {
    let mut stand = stand(60).await;
    // The cluster's pods are known.
    stand.api.wait_watches(1).await.unwrap();
    assert_eq!(stand.frontdoor.admin("/readyz").await.unwrap().0, 200);
    assert_eq!(stand.frontdoor.admin("/livez").await.unwrap().0, 200);
    let mut running = session(&stand).await;
    stand.frontdoor.signal(Signal::TERM).unwrap();
    stand
        .frontdoor
        .wait_log(SOON, |line| line["message"] == "draining")
        .await
        .unwrap();
    assert_eq!(stand.frontdoor.admin("/readyz").await.unwrap().0, 503);
    assert_eq!(stand.frontdoor.admin("/livez").await.unwrap().0, 200);
    let refused = stand.client.run(&[], "demo", "true").await.unwrap();
    assert_eq!(refused.status.code(), Some(255));
    running
        .stdin
        .take()
        .unwrap()
        .write_all(b"bye")
        .await
        .unwrap();
    let (code, text) = error(&mut running).await;
    assert_eq!((code, text.as_str()), (Some(3), ""));
    assert_eq!(stand.frontdoor.ended().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_on_a_terminal_is_told() {
    let mut stand = stand(60).await;
    let mut shell = stand.client.terminal("demo", &[], 24, 80).unwrap();
    shell.send("echo $((40+2))\n").await.unwrap();
    shell.expect("42").await.unwrap();
    stand.frontdoor.signal(Signal::TERM).unwrap();
    shell
        .expect("podgate: this frontdoor is being stopped")
        .await
        .unwrap();
    shell.send("exit 4\n").await.unwrap();
    assert_eq!(shell.end().await.unwrap().1, 4);
    assert_eq!(stand.frontdoor.ended().await.unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_a_frontdoor_ends_what_is_left() {
    let mut stand = stand(1).await;
    let mut running = session(&stand).await;
    stand.frontdoor.signal(Signal::TERM).unwrap();
    let (code, text) = error(&mut running).await;
    assert_eq!(code, Some(255));
    assert_eq!(text, "podgate: this frontdoor is being stopped\r\n");
    assert_eq!(stand.frontdoor.ended().await.unwrap().code(), Some(0));
    // The program in the container has ended, too.
    let embedded = stand.embedded.as_ref().unwrap();
    tokio::time::timeout(SOON, embedded.until_running(0))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_by_itself_is_ended_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit");
    let changes = Changes {
        frontdoor: format!("drainSeconds: 1\naudit: {{to: '{}'}}\n", log.display()),
        ..Changes::default()
    };
    let mut stand = Stand::embedded(changes).await.unwrap();
    // A name of this length makes every line of the table as long. Together they are more than ssh's
    // window and all buffers.
    for n in 0..10_000 {
        let name = format!("{n:0>250}");
        stand.cluster.add(pod("prod", &name, &name, NODE, NODE_IP));
    }
    let all = ["podgate_frontdoor_pods 10001"];
    stand.frontdoor.counts(SOON, &all).await.unwrap();
    let mut running = session(&stand).await;
    let mut table = stand.client.ssh(&[], "pods").spawn().unwrap();
    let two = ["podgate_frontdoor_sessions_active 2"];
    stand.frontdoor.counts(SOON, &two).await.unwrap();
    stand.frontdoor.signal(Signal::TERM).unwrap();
    assert_eq!(error(&mut running).await.0, Some(255));
    assert_eq!(stand.frontdoor.ended().await.unwrap().code(), Some(0));
    // Neither had to be forced.
    let stopped = |line: &&String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["message"] == "session ends" && line["outcome"] == "stopped"
    };
    let said = stand.frontdoor.log();
    assert_eq!(said.iter().filter(stopped).count(), 2, "{said:#?}");
    let record = std::fs::read_to_string(log).unwrap();
    let ends = |line: &&str| line.contains("\"outcome\":\"stopped\"");
    assert_eq!(record.lines().filter(ends).count(), 1, "{record}");
    table.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_does_not_wait() {
    let mut stand = stand(600).await;
    let mut running = session(&stand).await;
    let begun = Instant::now();
    stand.frontdoor.signal(Signal::TERM).unwrap();
    stand
        .frontdoor
        .wait_log(SOON, |line| line["message"] == "draining")
        .await
        .unwrap();
    stand.frontdoor.signal(Signal::TERM).unwrap();
    assert_eq!(error(&mut running).await.0, Some(255));
    assert_eq!(stand.frontdoor.ended().await.unwrap().code(), Some(0));
    assert!(begun.elapsed() < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_drains_and_hangs_up() {
    let mut stand = stand(2).await;
    let mut running = session(&stand).await;
    stand.agent.signal(Signal::TERM).unwrap();
    stand
        .agent
        .wait_log(SOON, |line| line["message"] == "draining")
        .await
        .unwrap();
    assert_eq!(stand.agent.admin("/readyz").await.unwrap().0, 503);
    // The frontdoor's connection stands, but no session begins on it any more.
    let refused = stand.client.run(&[], "demo", "true").await.unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(255), "{text}");
    assert!(
        text.contains("agent on the pod's node is being stopped; try again"),
        "{text}"
    );
    let (code, text) = error(&mut running).await;
    assert_eq!(code, Some(255));
    assert_eq!(
        text,
        "podgate: the agent on the pod's node is being stopped\r\n"
    );
    assert_eq!(stand.agent.ended().await.unwrap().code(), Some(0));
    let embedded = stand.embedded.as_ref().unwrap();
    tokio::time::timeout(SOON, embedded.until_running(0))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_whose_workers_cannot_begin_ends() {
    let stand = stand(60).await;
    // The token is given before the workers start, and to none of them.
    let plugin = r#"grep -q ^worker- /proc/$PPID/task/*/comm && exit 1
        echo '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "t"}}'"#;
    let path = stand.dir().join("kubeconfig");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", plugin],
        "interactiveMode": "Never",
    }});
    std::fs::write(&path, kubeconfig.to_string()).unwrap();

    let mut frontdoor = Command::new(binary("podgate-frontdoor").unwrap());
    let config = stand.dir().join("podgate-frontdoor.yaml");
    frontdoor.arg("--config").arg(config).kill_on_drop(true);
    let ended = timeout(SOON, frontdoor.output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cannot make a client for the API server"),
        "{said}"
    );
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("podgate-frontdoor: kubeconfig: "),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontdoor_ends_that_still_waits_for_the_api_server() {
    let (dir, pki) = (tempfile::tempdir().unwrap(), Pki::new().unwrap());
    let api = ApiServer::start(Cluster::new(), &pki).await.unwrap();
    api.kubeconfig(&dir.path().join("kubeconfig")).unwrap();
    api.set_fault(ApiFault::Silent).await.unwrap();
    let issued = pki.issue(&["frontdoor.podgate"]).unwrap();
    issued.write(dir.path(), "frontdoor").unwrap();
    pki.write_ca(dir.path()).unwrap();
    std::fs::write(dir.path().join("users.yaml"), "[]\n").unwrap();
    let config = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nkubeconfig: 'DIR/kubeconfig'\n\
        hostKeysSecret: {namespace: podgate, name: podgate-host-keys}\nusers: 'DIR/users.yaml'\n\
        tls: {cert: 'DIR/frontdoor.crt', key: 'DIR/frontdoor.key', ca: 'DIR/ca.crt'}\n\
        agents: {port: 1}\nlog: {format: json}\n";
    let path = dir.path().join("frontdoor.yaml");
    let config = config.replace("DIR", &dir.path().display().to_string());
    std::fs::write(&path, config).unwrap();
    let mut frontdoor = Command::new(binary("podgate-frontdoor").unwrap())
        .arg("--config")
        .arg(&path)
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(frontdoor.stderr.take().unwrap()).lines();
    let mut said = async |words: &str| {
        while !log.next_line().await.unwrap().unwrap().contains(words) {}
    };
    // It has asked once, of several times.
    said("trying again").await;
    let pid = Pid::from_raw(frontdoor.id().unwrap() as i32).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    said("stopped before it served").await;
    assert_eq!(frontdoor.wait().await.unwrap().code(), Some(0));
}
