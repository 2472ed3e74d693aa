//! Who may enter: RBAC is asked before anything is looked up, without a name, and again for the pod's
//! name.

use podgate_tests::instruments::eventually::eventually;
use podgate_tests::stand_ins::apiserver::{Rbac, group, rule, user};

use super::{SOON, deployment, knows, leads, refused, watched, web};

/// The group dev may enter the pods of these namespaces.
fn dev_in(namespaces: &[&str]) -> Rbac {
    let enter = rule(&["create"], &[""], &["pods/exec"]);
    let rbac = Rbac::default().cluster_role("enter", &[enter]);
    namespaces.iter().fold(rbac, |rbac, namespace| {
        rbac.bind(namespace, "dev", "ClusterRole/enter", &[group("dev")])
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_may_not_enter_looks_like_what_is_not_there() {
    let stand = watched("").await;
    for namespace in ["a", "b"] {
        stand.cluster.put(deployment(namespace, "web"));
        stand.cluster.add(web(&stand, namespace, "web-0", "web"));
    }
    stand.api.set_rbac(dev_in(&["a"]));
    for (there, absent) in [
        ("deploy/web", "deploy/nosuch"),
        ("app=web", "app=nosuch"),
        ("web-0", "nosuch"),
    ] {
        let at = |name: &str, namespace: &str| format!("{name}.{namespace}");
        let denied = refused(&stand.client, &at(there, "b")).await;
        let nowhere = refused(&stand.client, &at(absent, "b")).await;
        assert_eq!(
            denied.replace("web-0", "nosuch").replace("web", "nosuch"),
            nowhere
        );
        // Where the user may enter, and there is no such object.
        let missing = refused(&stand.client, &at(absent, "a")).await;
        assert_eq!(missing.replace("namespace a", "namespace b"), nowhere);
        assert_eq!(leads(&stand.client, &at(there, "a")).await, "web-0.a");
    }
    // In b nothing was looked up. In a, one deployment exists and one does not.
    assert_eq!(stand.api.requests("get", "deployments"), 2);
    assert_eq!(stand.api.pod_requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_one_pod_is_none_to_a_pod_of_a_kind() {
    let stand = watched("").await;
    stand.cluster.put(deployment("prod", "web"));
    stand.cluster.add(web(&stand, "prod", "web-0", "web"));
    let mut enter = rule(&["create"], &[""], &["pods/exec"]);
    enter.resource_names = Some(vec!["web-0".to_owned()]);
    let rbac = Rbac::default().role("prod", "web-0", &[enter]);
    let rbac = rbac.bind("prod", "ada", "Role/web-0", &[user("ada")]);
    stand.api.set_rbac(rbac);
    assert_eq!(leads(&stand.client, "web-0.prod").await, "web-0.prod");
    assert_eq!(
        refused(&stand.client, "deploy/web.prod").await,
        "no deploy/web in namespace prod, or you may not enter its pods"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_lists_the_namespaces_one_may_enter() {
    let stand = watched("authorization: {deniedSeconds: 60}\n").await;
    stand.cluster.add(web(&stand, "a", "web-0", "web"));
    let starts = web(&stand, "a", "a-long-name-0", "web").phase("Pending");
    stand
        .cluster
        .add(starts.unready().ended_container("side", "x"));
    stand.cluster.add(web(&stand, "b", "secret-0", "web"));
    stand
        .cluster
        .add(web(&stand, "c", "web-1", "web").deleted());
    knows(&stand, 5).await;
    stand.api.set_rbac(dev_in(&["a", "c"]));
    let table = "\
NAMESPACE   NAME            READY   STATUS        NODE
a           a-long-name-0   1/2     Pending       node-a
a           web-0           1/1     Running       node-a
c           web-1           1/1     Terminating   node-a
";
    for _ in 0..2 {
        let output = stand.client.run(&[], "pods", "true").await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), table);
        assert_eq!(output.status.code(), Some(0));
    }
    // One review a namespace: a, b, c and default.
    assert_eq!(stand.api.requests("create", "subjectaccessreviews"), 4);
    let terminal = stand.client.terminal("pods", &[], 24, 80).unwrap();
    let (seen, status) = terminal.end().await.unwrap();
    assert!(seen.starts_with(&table.replace('\n', "\r\n")), "{seen:?}");
    assert_eq!(status, 0);

    let bob = stand.add_user("bob").await.unwrap();
    let listed = eventually("bob's pods", SOON, || async {
        let output = bob.run(&[], "pods", "true").await.ok()?;
        output.status.success().then_some(output.stdout)
    });
    let listed = String::from_utf8(listed.await.unwrap()).unwrap();
    assert_eq!(listed, "NAMESPACE   NAME   READY   STATUS   NODE\n");
}
