//! What the frontdoor's rules deny of what RBAC allows, and what a node's own rules deny of what a
//! frontdoor grants.

use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::real::ssh::Client;
use podgate_tests::stand_ins::cluster::{PodBuilder, pod};

/// A running pod of two containers.
fn two(namespace: &str, name: &str) -> PodBuilder {
    pod(
        namespace,
        name,
        &format!("{namespace}-{name}"),
        NODE,
        NODE_IP,
    )
    .container("main", "demo")
    .container("side", "demo")
}

/// Whether a target is entered, or the reason why not.
async fn enters(client: &Client, target: &str) -> Result<(), String> {
    let output = client.run(&[], target, "echo ran").await.unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    if output.stdout == b"ran\n" {
        return Ok(());
    }
    assert_eq!(output.status.code(), Some(255), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    Err(line)
}

async fn check(client: &Client, rows: &[(&str, Option<&str>)]) {
    for (target, expect) in rows {
        let entered = enters(client, target).await;
        match (entered, expect) {
            (Ok(()), None) => {}
            (Err(line), Some(words)) => assert!(line.contains(words), "{target}: {line}"),
            (entered, expect) => panic!("{target}: {entered:?}, not {expect:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_denies_what_all_its_selectors_match() {
    let frontdoor = "
rules:
  - deny: {namespaces: [kube-*]}
    reason: ask the platform team
  - deny: {namespaces: [prod], containers: [side]}
  - deny: {hostNetwork: true}
  - deny: {runtimeClasses: [kata]}
  - deny: {groups: [dev], podSelector: {matchLabels: {app: vault}}}
  - require: {groups: [dba, ops]}
    where: {podSelector: {matchExpressions: [{key: app, operator: In, values: [postgres, mysql]}]}}
  - require: {groups: [dev]}
    where: {namespaces: [team]}
";
    let changes = Changes {
        frontdoor: frontdoor.into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    for pod in [
        two("kube-system", "dns"),
        two("prod", "web"),
        two("test", "web"),
        two("test", "proxy").host_network(),
        two("test", "boxed").runtime_class("kata"),
        two("test", "plain").runtime_class("runc"),
        two("test", "vault").label("app", "vault"),
        two("test", "db").label("app", "postgres"),
        two("team", "web"),
    ] {
        stand.cluster.add(pod);
    }
    let denied = Some("a rule of this frontdoor denies you sessions in container");
    let required = Some("a rule of this frontdoor lets only group dba or ops into container main");
    // Ada is in the group dev, bo in none.
    check(
        &stand.client,
        &[
            (
                "dns.kube-system",
                Some("a rule of this frontdoor denies sessions here: ask the platform team"),
            ),
            ("web.prod", None),
            ("web.prod+side", denied),
            ("web.test+side", None),
            ("proxy.test", denied),
            ("boxed.test", denied),
            ("plain.test", None),
            ("vault.test", denied),
            ("db.test", required),
            ("web.team", None),
            // Whether the pod exists is not for a rule to say.
            ("nosuch.kube-system", Some("no pod nosuch")),
        ],
    )
    .await;
    let bo = stand.add_user("bo").await.unwrap();
    let only_dev = Some("a rule of this frontdoor lets only group dev into");
    check(
        &bo,
        &[
            ("vault.test", None),
            ("db.test", required),
            ("web.team", only_dev),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_own_rules_have_the_last_word() {
    let deny = "deny: {namespaces: [kube-system], labels: {app: vault}, runtimeClasses: [kata], hostNetwork: true}\n";
    let changes = Changes {
        agent: deny.into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    for pod in [
        two("kube-system", "dns"),
        two("test", "vault").label("app", "vault"),
        two("test", "web").label("app", "web"),
        two("test", "boxed").runtime_class("kata"),
        two("test", "proxy").host_network(),
    ] {
        stand.cluster.add(pod);
    }
    check(
        &stand.client,
        &[
            ("dns.kube-system", Some("denied on this node")),
            (
                "vault.test",
                Some("sessions in pods with the label app=vault are denied on this node"),
            ),
            ("web.test", None),
            (
                "boxed.test",
                Some("sessions in pods of runtime class \"kata\" are denied on this node"),
            ),
            ("proxy.test", Some("pods on the host network are denied")),
        ],
    )
    .await;
}
