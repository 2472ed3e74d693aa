//! Objects as large as the API server allows, and questions as often as a user can ask them. Nobody
//! else notices, and the frontdoor stays small.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};
use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::instruments::echo::Echo;
use podgate_tests::real::ssh::Client;
use podgate_tests::stand_ins::cluster::{PodBuilder, pod};

const SOON: Duration = Duration::from_secs(60);
const MIB: u64 = 1024 * 1024;

async fn stand(frontdoor: &str) -> Stand {
    let changes = Changes {
        frontdoor: frontdoor.to_owned(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    stand.api.wait_watches(1).await.unwrap();
    stand
}

/// A pod of the stand's own container.
fn web(name: &str) -> PodBuilder {
    pod("default", name, &format!("{name}-uid"), NODE, NODE_IP)
        .container("main", "demo")
        .label("app", "web")
}

/// The same with this many more labels of 116 bytes each, which no other pod has.
fn labelled(name: &str, labels: usize) -> PodBuilder {
    let label = |pod: PodBuilder, n: usize| {
        let key = format!("{name}-{n:05}{:x<40}", "");
        pod.label(&key, &format!("{name}-{n:05}{:y<50}", ""))
    };
    (0..labels).fold(web(name), label)
}

/// What a user is told who is refused; empty for one who is let in.
async fn said(client: &Client, target: &str) -> String {
    let output = client.run(&[], target, "echo ran").await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.stdout == b"ran\n", said.is_empty(), "{said}");
    said
}

async fn knows(stand: &Stand, pods: usize) {
    let line = format!("podgate_frontdoor_pods {pods}");
    stand.frontdoor.counts(SOON, &[&line]).await.unwrap();
}

fn live(limit: &str, count: usize) -> String {
    format!("podgate_frontdoor_live_lookups_total{{limit=\"{limit}\"}} {count}")
}

fn refused(limit: &str, count: usize) -> String {
    format!("podgate_frontdoor_refused_total{{limit=\"{limit}\"}} {count}")
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_with_many_labels_take_little_memory() {
    const PODS: usize = 20;
    let mut stand = stand(
        "rules:\n  - deny: {podSelector: {matchLabels: {tier: closed}}}\n    reason: closed\n",
    )
    .await;
    assert_eq!(said(&stand.client, "demo").await, "");
    let small = stand.frontdoor.peak().unwrap();
    for n in 0..PODS {
        // 932 KB each.
        stand.cluster.add(labelled(&format!("large-{n:02}"), 8000));
    }
    let closed = labelled("closed", 100).label("app", "closed");
    stand.cluster.add(closed.label("tier", "closed"));
    knows(&stand, PODS + 2).await;
    let watched = stand.frontdoor.peak().unwrap();
    assert!(watched < small + 40 * MIB, "{watched} after {small}");

    // They can still be entered, by what the API server says of them now.
    assert_eq!(said(&stand.client, "large-07").await, "");
    assert_eq!(stand.api.pod_requests(), 1);
    assert_eq!(said(&stand.client, "app=web").await, "");
    let counted = [&*live("podBytes", 2)];
    stand.frontdoor.counts(SOON, &counted).await.unwrap();
    // A rule with a label that is not kept denies.
    assert!(said(&stand.client, "closed").await.contains("closed"));

    // A frontdoor that starts now lists them.
    stand
        .frontdoor
        .signal(rustix::process::Signal::KILL)
        .unwrap();
    stand.frontdoor.ended().await.unwrap();
    stand.restart_frontdoor().await.unwrap();
    knows(&stand, PODS + 2).await;
    let listed = stand.frontdoor.peak().unwrap();
    assert!(listed < small + 60 * MIB, "{listed} after {small}");
    assert_eq!(said(&stand.client, "large-07").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_2_mb_goes_through_the_watch() {
    let stand = stand("").await;
    let mut ssh = stand.client.ssh(&[], "demo");
    ssh.arg("cat");
    let mut session = Echo::start(ssh).await.unwrap();
    let large = || web("large").annotation("note", &"x".repeat(2 * MIB as usize));
    for event in [large(), large().unready(), large()] {
        stand.cluster.add(event);
    }
    stand.cluster.add(web("after"));
    knows(&stand, 3).await;
    session.again().await.unwrap();
    for name in ["large", "after", "demo"] {
        assert_eq!(said(&stand.client, name).await, "");
    }
    // All of this came by the watch that stood before.
    assert_eq!(stand.api.pod_requests(), 0);
    assert_eq!(stand.api.requests("list", "pods"), 1);
    assert_eq!(stand.api.requests("watch", "pods"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uid_that_fills_the_audit_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit");
    let stand = stand(&format!("audit: {{to: '{}'}}\n", log.display())).await;
    let mirror = "kubernetes.io/config.mirror";
    let long = "f".repeat(200_000);
    stand.cluster.add(web("static").annotation(mirror, &long));
    knows(&stand, 2).await;
    let line =
        "podgate: the UID of pod static is too long to be recorded, so no session may enter it\r\n";
    assert_eq!(said(&stand.client, "static").await, line);
    let none = said(&stand.client, "app=web").await;
    assert!(none.contains("none of its pods is ready"), "{none}");
    stand
        .frontdoor
        .counts(SOON, &[&refused("uidBytes", 1)])
        .await
        .unwrap();
    let recorded = std::fs::read_to_string(log).unwrap();
    let refusal = recorded.lines().find(|line| line.contains("\"refusal\""));
    assert!(refusal.unwrap().contains("\"by\":\"limit\""), "{recorded}");
    assert!(recorded.len() < 10_000, "{recorded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_selector_is_read_for_each_session() {
    let stand = stand("").await;
    stand.cluster.add(web("web-0"));
    knows(&stand, 2).await;
    let deployment = |name: &str, values: usize| {
        let values = (0..values).map(|n| format!("value-{n}"));
        let not_in = LabelSelectorRequirement {
            key: "tier".to_owned(),
            operator: "NotIn".to_owned(),
            values: Some(values.collect()),
        };
        let selector = LabelSelector {
            match_labels: Some(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
            match_expressions: Some(vec![not_in]),
        };
        Deployment {
            metadata: ObjectMeta {
                namespace: Some("default".to_owned()),
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(DeploymentSpec {
                selector,
                ..DeploymentSpec::default()
            }),
            ..Deployment::default()
        }
    };
    stand.cluster.put(deployment("short", 3));
    stand.cluster.put(deployment("long", 1000));
    for (target, asked) in [("short", 1), ("short", 1), ("long", 2), ("long", 3)] {
        assert_eq!(said(&stand.client, &format!("deploy/{target}")).await, "");
        assert_eq!(stand.api.requests("get", "deployments"), asked, "{target}");
    }
    let counted = [&*live("selectorBytes", 2)];
    stand.frontdoor.counts(SOON, &counted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_looks_up_much_is_refused_and_nobody_else() {
    // A review and a look-up for each pod that is not there.
    let stand = stand("cluster: {lookupsPerUserPerMinute: 5}\n").await;
    let bob = stand.add_user("bob").await.unwrap();
    assert_eq!(said(&stand.client, "demo").await, "");
    for name in ["nosuch-0", "nosuch-1"] {
        let absent = said(&stand.client, name).await;
        assert!(absent.contains("or you may not enter it"), "{absent}");
    }
    let line =
        "podgate: you have reached the limit of look-ups per user; try again in a moment\r\n";
    assert_eq!(said(&stand.client, "nosuch-2").await, line);
    assert_eq!(said(&stand.client, "deploy/nosuch").await, line);
    let counted = [&*refused("lookupsPerUserPerMinute", 2)];
    stand.frontdoor.counts(SOON, &counted).await.unwrap();
    // Known pods cost nothing.
    assert_eq!(said(&stand.client, "demo").await, "");
    assert_eq!(said(&bob, "demo").await, "");
    let absent = said(&bob, "nosuch-2").await;
    assert!(absent.contains("or you may not enter it"), "{absent}");
}
