//! Kubernetes RBAC decides who may enter which pod: at the start of a session, while it runs, and while
//! the API server is away.

use std::time::Duration;

use k8s_openapi::api::rbac::v1::Subject;
use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::instruments::client::Login;
use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::Client;
use podgate_tests::stand_ins::apiserver::{ApiFault, Rbac, Token, group, rule};
use podgate_tests::stand_ins::cluster::pod;
use podgate_tests::stand_ins::embedded::EmbeddedContainer;
use tokio::process::Command;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(30);
const AWAY: &str = "podgate: the Kubernetes API server cannot be asked whether you may enter the pod; \
    try again, or see the frontdoor's log\r\n";
/// Short times.
const QUICK: &str =
    "recheckSeconds: 1\nauthorization: {allowedSeconds: 1, deniedSeconds: 1, outageSeconds: 600}\n";

/// A stand with a pod `x` in each of the namespaces `a` and `b`, beside `demo` in `default`.
async fn stand(frontdoor: &str) -> Stand {
    let changes = Changes {
        frontdoor: frontdoor.to_owned(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    for namespace in ["a", "b"] {
        let id = format!("x-{namespace}");
        let embedded = stand.embedded.as_ref().unwrap();
        embedded.container(&id, EmbeddedContainer::default());
        let x = pod(namespace, "x", &format!("{id}-uid"), NODE, NODE_IP);
        stand.cluster.add(x.container("main", &id));
    }
    stand
}

/// The group dev may enter the pods of these namespaces.
fn dev_in(namespaces: &[&str]) -> Rbac {
    let enter = rule(&["create"], &[""], &["pods/exec"]);
    let rbac = Rbac::default().cluster_role("enter", &[enter]);
    namespaces.iter().fold(rbac, |rbac, namespace| {
        rbac.bind(namespace, "dev", "ClusterRole/enter", &[group("dev")])
    })
}

/// What a session is told that must be refused.
async fn refused(client: &Client, target: &str) -> String {
    let output = client.run(&[], target, "echo ran").await.unwrap();
    assert_eq!(output.status.code(), Some(255), "{target}");
    assert!(output.stdout.is_empty(), "{target}");
    String::from_utf8(output.stderr).unwrap()
}

async fn enters(client: &Client, target: &str) -> bool {
    let output = client.run(&[], target, "echo ran").await.unwrap();
    output.stdout == b"ran\n"
}

async fn echo(client: &Client, target: &str) -> Echo {
    let mut ssh = client.ssh(&[], target);
    ssh.arg("cat");
    Echo::start(ssh).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_binding_opens_its_namespace_as_long_as_it_is_there() {
    let stand = stand(QUICK).await;
    stand.api.set_rbac(dev_in(&["a", "b"]));
    let stays = echo(&stand.client, "x.b").await;
    stand.api.set_rbac(dev_in(&["a"]));
    // A session that was let in before may go on until the recheck, and is in b.
    let (told, status) = stays.ended().await.unwrap();
    assert_eq!(
        told,
        "podgate: you may not enter this pod any more; the session is ended\r\n"
    );
    assert_eq!(status, Some(255));

    let mut session = echo(&stand.client, "x.a").await;
    let denied = refused(&stand.client, "x.b").await;
    let absent = refused(&stand.client, "nosuch.b").await;
    assert_eq!(denied.replace("pod x", "pod nosuch"), absent);
    assert_eq!(
        absent,
        "podgate: no pod nosuch in namespace b, or you may not enter it\r\n"
    );
    // A user who may enter reads the same words if there is no such pod.
    let nobody = refused(&stand.client, "nosuch.a").await;
    assert_eq!(nobody.replace("namespace a", "namespace b"), absent);

    stand.api.set_rbac(dev_in(&["a", "b"]));
    let let_in = || async { enters(&stand.client, "x.b").await.then_some(()) };
    eventually("entering again", Duration::from_secs(10), let_in)
        .await
        .unwrap();
    session.again().await.unwrap();
    let counts = ["podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"revoked\"} 1"];
    stand.frontdoor.counts(SOON, &counts).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_never_decided_on_keeps_nobody_elses_rights() {
    // One core, which asks for both.
    let stand = stand(&format!("{QUICK}workers: 1\n")).await;
    let bob = stand.add_user("bob").await.unwrap();
    let everyone = |to: Subject| {
        let enter = rule(&["create"], &[""], &["pods/exec"]);
        let rbac = Rbac::default().cluster_role("enter", &[enter]);
        rbac.bind("a", "all", "ClusterRole/enter", &[to])
    };
    stand.api.set_rbac(everyone(group("system:authenticated")));
    let (ada, mut undecided) = (echo(&stand.client, "x.a").await, echo(&bob, "x.a").await);
    stand.api.trouble("bob");
    let asked = |line: &serde_json::Value| line["message"] == "rights are not asked for again";
    stand.frontdoor.wait_log(SOON, asked).await.unwrap();
    stand.api.set_rbac(everyone(group("nobody")));
    let (told, status) = ada.ended().await.unwrap();
    assert_eq!(
        (told.contains("any more"), status),
        (true, Some(255)),
        "{told}"
    );
    undecided.again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_an_error_lets_nobody_in() {
    let stand = stand(QUICK).await;
    assert!(enters(&stand.client, "x.a").await);
    // The frontdoor may not ask any more. That is an answer, so no earlier one counts.
    let token = Token::service_account("podgate", "frontdoor");
    stand.api.set_tokens(&[]);
    stand.api.add_token(stand.api.token(), token);
    stand.api.enforce(true);
    let refused = eventually("a refusal", SOON, || async {
        let output = stand.client.run(&[], "x.a", "true").await.ok()?;
        (!output.status.success()).then_some(output.stderr)
    });
    assert_eq!(refused.await.unwrap(), AWAY.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_is_missed_by_newcomers_alone() {
    let stand = stand(QUICK).await;
    let bob = stand.add_user("bob").await.unwrap();
    let mut session = echo(&stand.client, "x.a").await;
    for fault in [ApiFault::Refused, ApiFault::Silent, ApiFault::InternalError] {
        let before = stand.frontdoor.log().len();
        stand.api.set_fault(fault).await.unwrap();
        // Its answer is older than `allowedSeconds`, because it could not be asked for again.
        let asked = |line: &serde_json::Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message == "rights are not asked for again"
        };
        let log = stand.frontdoor.wait_log_from(before, SOON, asked);
        log.await.unwrap();
        assert!(enters(&stand.client, "x.a").await, "{fault:?}");
        assert_eq!(refused(&bob, "x.a").await, AWAY, "{fault:?}");
        session.again().await.unwrap();
    }
    stand.api.set_fault(ApiFault::None).await.unwrap();
    assert!(enters(&bob, "x.a").await);
    session.again().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_no_outage_for_running_sessions() {
    // More rights of one core than are asked for at once.
    let stand = stand(&format!("{QUICK}workers: 1\n")).await;
    let mut sessions = Vec::new();
    for n in 0..6 {
        let name = format!("y-{n}");
        let y = pod("a", &name, &format!("{name}-uid"), NODE, NODE_IP);
        stand.cluster.add(y.container("main", "x-a"));
        sessions.push(echo(&stand.client, &format!("{name}.a")).await);
    }
    stand.api.set_rbac(dev_in(&["b"]));
    stand.api.busy(40);
    for session in sessions {
        let (told, status) = session.ended().await.unwrap();
        assert_eq!(
            (told.contains("any more"), status),
            (true, Some(255)),
            "{told}"
        );
    }
    let log = stand.frontdoor.log();
    let gave_up = |line: &&String| line.contains("rights are not asked for again");
    assert_eq!(log.iter().find(gave_up), None);
    let again = |line: &&String| line.contains("rights are asked for again in a moment");
    assert!(log.iter().any(|line| again(&line)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_answer_counts_no_longer_than_configured() {
    let stand = stand("authorization: {allowedSeconds: 0, outageSeconds: 1}\n").await;
    assert!(enters(&stand.client, "x.a").await);
    // The test above, which has more time, shows that it counts at all.
    stand.api.set_fault(ApiFault::Refused).await.unwrap();
    let line = eventually("a refusal", SOON, || async {
        let output = stand.client.run(&[], "x.a", "true").await.ok()?;
        (!output.status.success()).then_some(output.stderr)
    });
    assert_eq!(line.await.unwrap(), AWAY.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_logins_cost_a_review_an_identity_and_no_pod_request() {
    const LOGINS: usize = 500;
    const AT_ONCE: usize = 10;
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca");
    podgate_tests::real::ssh::keygen(&ca, &["-t", "ed25519"])
        .await
        .unwrap();
    let stand = stand(&format!(
        "recheckSeconds: 600\nauthorization: {{allowedSeconds: 600}}\n\
         authn: {{certificates: [{{authorities: '{}.pub'}}]}}\n",
        ca.display()
    ))
    .await;
    let made = Command::new("ssh-keygen")
        .args(["-q", "-I", "cleo", "-n", "cleo", "-s"])
        .arg(&ca)
        .arg(stand.dir().join("id.pub"))
        .status();
    assert!(made.await.unwrap().success());
    // The cluster's pods are known: those from the stand's start, and those added since.
    stand.api.wait_watches(1).await.unwrap();

    let key = Login::to(&stand, "demo").unwrap();
    let certificate = key.clone();
    let certificate = certificate.with_certificate(&stand.dir().join("id-cert.pub"));
    let mut logins = JoinSet::new();
    for login in [key, certificate.unwrap()] {
        for _ in 0..AT_ONCE {
            let login = login.clone();
            logins.spawn(async move {
                for _ in 0..LOGINS / AT_ONCE {
                    let connection = login.connect().await.unwrap();
                    let session = connection.exec("echo ran").await.unwrap();
                    assert_eq!(session.wait().await.unwrap(), (b"ran\n".to_vec(), 0));
                    connection.close().await;
                }
            });
        }
    }
    while let Some(done) = logins.join_next().await {
        done.unwrap();
    }
    for (user, source) in [("ada", "key"), ("cleo", "certificate")] {
        let log = stand.frontdoor.log();
        let of = |line: &&String| {
            line.contains("\"message\":\"login\"")
                && line.contains(&format!("\"user\":\"{user}\""))
                && line.contains(&format!("\"source\":\"{source}\""))
        };
        assert_eq!(log.iter().filter(of).count(), LOGINS, "{user}");
    }
    assert_eq!(stand.api.requests("create", "subjectaccessreviews"), 2);
    assert_eq!(stand.api.pod_requests(), 0);
}
