//! Lists: pages of one resource version, what clients may choose, and what they may not ask for.

use kube::api::{ListParams, VersionMatch};
use kube::core::ObjectList;

use super::both::against_both;
use super::server::Server;
use super::stand::{Stand, small, status};

use k8s_openapi::api::core::v1::Pod;

fn names(list: &ObjectList<Pod>) -> Vec<&str> {
    let names = list.items.iter().map(|pod| pod.metadata.name.as_deref());
    names.map(Option::unwrap).collect()
}

fn version(list: &ObjectList<Pod>) -> String {
    list.metadata.resource_version.clone().unwrap()
}

against_both!(
    a_list_says_once_what_its_items_are,
    pages_are_of_one_resource_version,
    clients_choose_by_labels_and_fields,
);

#[tokio::test]
async fn a_list_has_the_bytes_of_a_real_one() {
    let stand = Stand::new().await;
    stand.cluster.remove("default", "web");
    let get = async |path| stand.get(path, stand.api.token(), None).await.unwrap();
    let empty =
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"3"},"items":[]}"#;
    assert_eq!(get("/api/v1/pods").await, (200, format!("{empty}\n")));
    stand.cluster.add(small("a", "x", "n"));
    stand.cluster.add(small("a", "y", "n"));
    let item = |name, version| {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"a","resourceVersion":"{version}","uid":"uid-{name}"}},"spec":{{"containers":[],"nodeName":"n","restartPolicy":"Always"}},"status":{{"conditions":[{{"status":"True","type":"Ready"}}],"hostIP":"127.0.0.1","hostIPs":[{{"ip":"127.0.0.1"}}],"phase":"Running"}}}}"#
        )
    };
    let list = format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"5"}},"items":[{},{}]}}"#,
        item("x", 4),
        item("y", 5)
    );
    assert_eq!(
        get("/api/v1/namespaces/a/pods").await,
        (200, format!("{list}\n"))
    );
    let one = item("x", 4).replacen('{', r#"{"kind":"Pod","apiVersion":"v1","#, 1);
    assert_eq!(
        get("/api/v1/namespaces/a/pods/x").await,
        (200, format!("{one}\n"))
    );
}

async fn a_list_says_once_what_its_items_are(server: impl Server) {
    server.add(small("a", "x", "n")).await;
    server.add(small("a", "y", "n")).await;
    let get = async |path| server.get(path, server.token(), None).await.unwrap().1;
    let list = get("/api/v1/namespaces/a/pods").await;
    let start = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":""#;
    assert!(list.starts_with(start), "{list}");
    assert!(
        list.contains(r#""},"items":[{"metadata":{"name":"x","#),
        "{list}"
    );
    assert!(list.contains(r#"},{"metadata":{"name":"y","#), "{list}");
    assert!(list.ends_with("]}\n"), "{list}");
    let one = get("/api/v1/namespaces/a/pods/x").await;
    let start = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x","#;
    assert!(one.starts_with(start) && one.ends_with("}\n"), "{one}");
    let empty = get("/api/v1/namespaces/b/pods").await;
    assert!(empty.ends_with("\"},\"items\":[]}\n"), "{empty}");
}

async fn pages_are_of_one_resource_version(server: impl Server) {
    for name in ["a", "b", "d", "e"] {
        server.add(small("default", name, "node-a")).await;
    }
    let pods = server.pods().await;
    let page = ListParams::default().limit(2);
    let first = pods.list(&page).await.unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first.metadata.remaining_item_count, Some(3));

    server.remove("default", "d").await;
    server.add(small("default", "c", "node-a")).await;
    let changed = small("default", "e", "node-a").label("changed", "yes");
    server.add(changed).await;
    server.add(small("default", "f", "node-a")).await;
    server.remove("default", "f").await;
    let next = async |list: &ObjectList<Pod>| {
        let token = list.metadata.continue_.as_deref().unwrap();
        pods.list(&page.clone().continue_token(token)).await
    };
    let second = next(&first).await.unwrap();
    assert_eq!(names(&second), ["d", "e"]);
    assert_eq!(second.items[1].metadata.labels, None);
    assert_eq!(second.metadata.remaining_item_count, Some(1));
    let third = next(&second).await.unwrap();
    assert_eq!(names(&third), ["web"]);
    assert_eq!(third.metadata.continue_, None);
    assert_eq!(
        [version(&second), version(&third)],
        [version(&first), version(&first)]
    );

    let exact = ListParams::default()
        .at(&version(&first))
        .matching(VersionMatch::Exact);
    assert_eq!(
        names(&pods.list(&exact).await.unwrap()),
        ["a", "b", "d", "e", "web"]
    );
}

/// After a compaction there is no next page of an old list, unless the client accepts an inconsistent
/// one.
#[tokio::test]
async fn pages_of_what_is_forgotten_are_gone() {
    let stand = Stand::new().await;
    for name in ["a", "b", "d", "e"] {
        stand.cluster.add(small("default", name, "node-a"));
    }
    let pods = stand.pods().await;
    let page = ListParams::default().limit(2);
    let next = async |list: &ObjectList<Pod>| {
        let token = list.metadata.continue_.as_deref().unwrap();
        pods.list(&page.clone().continue_token(token)).await
    };
    let first = pods.list(&page).await.unwrap();
    stand.cluster.remove("default", "d");
    stand.cluster.add(small("default", "e", "node-b"));
    let second = next(&first).await.unwrap();
    assert_eq!(names(&second), ["d", "e"]);
    assert_eq!(
        second.items[1].spec.as_ref().unwrap().node_name.as_deref(),
        Some("node-a")
    );

    stand.cluster.compact();
    let expired = status(next(&second).await.unwrap_err());
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
    let rest = expired.metadata.unwrap().continue_.unwrap();
    let rest = pods
        .list(&page.clone().continue_token(&rest))
        .await
        .unwrap();
    assert_eq!(names(&rest), ["web"]);
    let exact = ListParams::default()
        .at(&version(&first))
        .matching(VersionMatch::Exact);
    let expired = status(pods.list(&exact).await.unwrap_err());
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn a_long_list_comes_whole() {
    let stand = Stand::new().await;
    for at in 0..2000 {
        stand
            .cluster
            .add(small("many", &format!("pod-{at:04}"), "node-a"));
    }
    let pods = stand.pods().await;
    let of_many = ListParams::default().fields("metadata.namespace=many");
    let all = pods.list(&of_many).await.unwrap();
    let expected: Vec<_> = (0..2000).map(|at| format!("pod-{at:04}")).collect();
    assert_eq!(names(&all), expected);
}

async fn clients_choose_by_labels_and_fields(server: impl Server) {
    server
        .add(small("prod", "a", "node-a").label("app", "web"))
        .await;
    server
        .add(small("prod", "b", "node-b").label("app", "db"))
        .await;
    server
        .add(small("prod-2", "c", "node-b").phase("Failed"))
        .await;
    let pods = server.pods().await;
    let check = async |params: ListParams, expected: &[&str]| {
        assert_eq!(names(&pods.list(&params).await.unwrap()), expected);
    };
    let all = ListParams::default;
    // In etcd's order, where "-" comes before "/".
    check(all(), &["web", "c", "a", "b"]).await;
    check(all().labels("app in (web, db),app!=db"), &["a"]).await;
    check(all().fields("spec.nodeName=node-b"), &["c", "b"]).await;
    check(
        all().fields("metadata.namespace=prod,metadata.name=b"),
        &["b"],
    )
    .await;
    check(all().fields("status.phase!=Failed"), &["web", "a", "b"]).await;
    check(all().labels("app").limit(1), &["a"]).await;
    // The watch cache knows no pages.
    check(all().match_any(), &["web", "c", "a", "b"]).await;

    let wrong = pods
        .list(&all().fields("spec.color=red"))
        .await
        .unwrap_err();
    let message = "field label not supported: spec.color";
    assert_eq!(status(wrong).message, message);
    // kube's client would ask again and again.
    let late = "/api/v1/pods?resourceVersion=999999999";
    assert_eq!(server.json(late, server.token(), None).await.0, 504);
    let wrong = "/api/v1/pods?resourceVersionMatch=Exact";
    let (code, answer) = server.json(wrong, server.token(), None).await;
    let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                   resourceVersionMatch is forbidden unless resourceVersion is provided";
    assert_eq!((code, answer["message"].as_str()), (422, Some(message)));
}
