//! Watches as kube's client sees them, and in bytes.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, WatchEvent, WatchParams};

use super::both::against_both;
use super::server::Server;
use super::stand::{Stand, small};

/// The next event in a few words.
async fn next(
    watch: &mut (impl Stream<Item = Result<WatchEvent<Pod>, kube::Error>> + Unpin),
) -> String {
    let name = |pod: Pod| pod.metadata.name.unwrap();
    match watch.next().await.unwrap().unwrap() {
        WatchEvent::Added(pod) => format!("added {}", name(pod)),
        WatchEvent::Modified(pod) => format!("modified {}", name(pod)),
        WatchEvent::Deleted(pod) => format!("deleted {}", name(pod)),
        WatchEvent::Bookmark(mark) if mark.metadata.annotations.is_empty() => "bookmark".to_owned(),
        WatchEvent::Bookmark(mark) => format!("{:?}", mark.metadata.annotations),
        WatchEvent::Error(status) => format!("{} {}", status.code, status.reason),
    }
}

/// Expects the end of a pod. A real server first notes in the pod that its time is up.
async fn deleted(
    watch: &mut (impl Stream<Item = Result<WatchEvent<Pod>, kube::Error>> + Unpin),
    name: &str,
) {
    let mut event = next(watch).await;
    if event == format!("modified {name}") {
        event = next(watch).await;
    }
    assert_eq!(event, format!("deleted {name}"));
}

against_both!(
    every_change_is_told_from_a_resource_version_on,
    a_watch_of_some_labels_sees_pods_come_and_go,
    a_streaming_list_is_whole_before_its_mark,
    a_watch_is_lines_and_ends_in_time,
);

async fn every_change_is_told_from_a_resource_version_on(server: impl Server) {
    let pods = server.pods().await;
    let listed = pods.list(&ListParams::default()).await.unwrap();
    let version = listed.metadata.resource_version.unwrap();
    // Before the watch and during it.
    server.add(small("default", "a", "node-a")).await;
    let changes = WatchParams::default().disable_bookmarks();
    let watch = pods.watch(&changes, &version).await.unwrap();
    let mut watch = watch.boxed();
    assert_eq!(next(&mut watch).await, "added a");
    let changed = small("default", "a", "node-a").label("changed", "yes");
    server.add(changed).await;
    assert_eq!(next(&mut watch).await, "modified a");
    server.remove("default", "a").await;
    deleted(&mut watch, "a").await;
    // A recreated pod is another pod.
    let web =
        podgate_tests::stand_ins::cluster::pod("default", "web", "uid-2", "node-b", "127.0.0.1");
    server.add(web).await;
    deleted(&mut watch, "web").await;
    assert_eq!(next(&mut watch).await, "added web");
    // A burst, in order. A real server ends a watch that nobody reads.
    let burst = async {
        for at in 0..1000 {
            server
                .add(small("default", &format!("pod-{at}"), "node-a"))
                .await;
        }
    };
    let told = async {
        for at in 0..1000 {
            assert_eq!(next(&mut watch).await, format!("added pod-{at}"));
        }
    };
    tokio::join!(burst, told);
}

async fn a_watch_of_some_labels_sees_pods_come_and_go(server: impl Server) {
    let pods = server.pods().await;
    let labelled = |value: &str| small("default", "a", "node-a").label("here", value);
    let here = WatchParams::default()
        .labels("here=yes")
        .disable_bookmarks();
    let mut watch = pods.watch(&here, "0").await.unwrap().boxed();
    server.add(labelled("no")).await;
    server.add(labelled("yes")).await;
    assert_eq!(next(&mut watch).await, "added a");
    server.add(labelled("no")).await;
    let Some(Ok(WatchEvent::Deleted(gone))) = watch.next().await else {
        panic!("it left the selection");
    };
    // The pod as it was selected, at the resource version of the change.
    assert_eq!(gone.metadata.labels.unwrap()["here"], "yes");
    let of_default = kube::Api::<Pod>::default_namespaced(server.client().await);
    let now = of_default.get("a").await.unwrap();
    assert_eq!(
        gone.metadata.resource_version,
        now.metadata.resource_version
    );
}

async fn a_streaming_list_is_whole_before_its_mark(server: impl Server) {
    let mut expected = vec!["added web".to_owned()];
    for at in 0..50 {
        server
            .add(small("many", &format!("pod-{at:02}"), "node-a"))
            .await;
        expected.push(format!("added pod-{at:02}"));
    }
    let pods = server.pods().await;
    let streaming = WatchParams::default().initial_events();
    let mut watch = pods.watch(&streaming, "0").await.unwrap().boxed();
    let mut listed = Vec::new();
    for _ in 0..expected.len() {
        listed.push(next(&mut watch).await);
    }
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    let mark = next(&mut watch).await;
    assert_eq!(mark, r#"{"k8s.io/initial-events-end": "true"}"#);
    server.remove("many", "pod-07").await;
    deleted(&mut watch, "pod-07").await;

    let path = "/api/v1/pods?watch=true&sendInitialEvents=true";
    let (code, answer) = server.json(path, server.token(), None).await;
    let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                   sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    assert_eq!((code, answer["message"].as_str()), (422, Some(message)));
}

async fn a_watch_is_lines_and_ends_in_time(server: impl Server) {
    let path = "/api/v1/pods?watch=true&resourceVersion=0&timeoutSeconds=3&allowWatchBookmarks=1";
    let (code, lines) = server.get(path, server.token(), None).await.unwrap();
    let lines: Vec<_> = lines.lines().collect();
    let [first, mark, more @ ..] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(code, 200);
    let added =
        r#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","#;
    assert!(first.starts_with(added), "{lines:?}");
    let bookmark = |line: &str| {
        let start = r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":""#;
        let (version, rest) = line
            .strip_prefix(start)
            .expect(line)
            .split_once('"')
            .unwrap();
        version.parse::<u64>().unwrap();
        rest.to_owned()
    };
    let end = r#"},"spec":{"containers":null},"status":{}}}"#;
    let annotations = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
    assert_eq!(bookmark(mark), format!("{annotations}{end}"));
    assert!(more.iter().all(|line| bookmark(line) == end), "{lines:?}");
}

#[tokio::test]
async fn a_watch_of_some_pods_sees_them_come_and_go() {
    let stand = Stand::new().await;
    let pods = stand.pods().await;
    let of_node = WatchParams::default()
        .fields("spec.nodeName=node-b")
        .disable_bookmarks();
    let mut watch = pods.watch(&of_node, "0").await.unwrap().boxed();
    stand.cluster.add(small("default", "a", "node-a"));
    stand.cluster.add(small("default", "a", "node-b"));
    assert_eq!(next(&mut watch).await, "added a");
    stand.cluster.add(small("default", "a", "node-a"));
    let Some(Ok(WatchEvent::Deleted(gone))) = watch.next().await else {
        panic!("it left the selection");
    };
    // The pod as it was selected, at the resource version of the change.
    assert_eq!(gone.spec.unwrap().node_name.as_deref(), Some("node-b"));
    assert_eq!(gone.metadata.resource_version.as_deref(), Some("5"));
    stand.cluster.remove("default", "a");
    stand.cluster.add(small("default", "b", "node-b"));
    assert_eq!(next(&mut watch).await, "added b");
}

#[tokio::test]
async fn a_watch_can_be_behind() {
    let stand = Stand::new().await;
    let pods = stand.pods().await;
    let mut watch = pods
        .watch(&WatchParams::default().disable_bookmarks(), "0")
        .await
        .unwrap()
        .boxed();
    assert_eq!(next(&mut watch).await, "added web");
    stand.api.hold_watches(true);
    stand.cluster.add(small("default", "a", "node-a"));
    stand.cluster.remove("default", "a");
    let silent = tokio::time::timeout(Duration::from_millis(100), watch.next()).await;
    assert!(silent.is_err());
    stand.api.hold_watches(false);
    assert_eq!(next(&mut watch).await, "added a");
    assert_eq!(next(&mut watch).await, "deleted a");
}

#[tokio::test]
async fn a_streaming_list_ends_with_a_mark() {
    let stand = Stand::new().await;
    for at in 0..500 {
        stand
            .cluster
            .add(small("many", &format!("pod-{at:03}"), "node-a"));
    }
    let pods = stand.pods().await;
    let streaming = WatchParams::default().initial_events();
    let mut watch = pods.watch(&streaming, "0").await.unwrap().boxed();
    assert_eq!(next(&mut watch).await, "added web");
    for at in 0..500 {
        assert_eq!(next(&mut watch).await, format!("added pod-{at:03}"));
    }
    let mark = next(&mut watch).await;
    assert_eq!(mark, r#"{"k8s.io/initial-events-end": "true"}"#);
    stand.cluster.remove("many", "pod-007");
    assert_eq!(next(&mut watch).await, "deleted pod-007");

    let path = "/api/v1/pods?watch=true&sendInitialEvents=true";
    let (code, answer) = stand.json(path, stand.api.token(), None).await;
    let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                   sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    assert_eq!((code, answer["message"].as_str()), (422, Some(message)));
}

#[tokio::test]
async fn what_is_forgotten_is_gone() {
    let stand = Stand::new().await;
    let pods = stand.pods().await;
    stand.cluster.keep_history(2);
    for name in ["a", "b", "c"] {
        stand.cluster.add(small("default", name, "node-a"));
    }
    let watch = async |version| {
        let watch = pods.watch(&WatchParams::default(), version).await;
        watch.unwrap().boxed()
    };
    let mut stands = watch("3").await;
    assert_eq!(next(&mut stands).await, "added b");
    assert_eq!(next(&mut stands).await, "added c");
    let mut late = watch("2").await;
    assert_eq!(next(&mut late).await, "410 Expired");
    assert!(late.next().await.is_none());
    stand.cluster.compact();
    // This holds for the latest version, too: the compaction has one of its own.
    let mut late = watch("5").await;
    assert_eq!(next(&mut late).await, "410 Expired");
    stand.cluster.add(small("default", "d", "node-a"));
    assert_eq!(next(&mut stands).await, "added d");
}

#[tokio::test]
async fn a_watch_has_the_lines_of_a_real_one() {
    let stand = Stand::new().await;
    let lines = async |query: &str| {
        let path = format!("/api/v1/pods?watch=true&{query}");
        let answer = stand.get(&path, stand.api.token(), None).await.unwrap();
        answer.1.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    stand.cluster.remove("default", "web");
    let gone = lines("resourceVersion=2&timeoutSeconds=3&allowWatchBookmarks=1").await;
    let deleted = r#"{"type":"DELETED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","resourceVersion":"3","uid":"uid-1"},"spec":{"#;
    assert!(gone[0].starts_with(deleted), "{gone:?}");
    let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"3"},"spec":{"containers":null},"status":{}}}"#;
    assert_eq!(gone[1..], [bookmark]);

    stand.cluster.compact();
    let expired = lines("resourceVersion=2").await;
    let expected = serde_json::json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version: 2 (4)", "reason": "Expired", "code": 410,
    }});
    let expired: serde_json::Value = serde_json::from_str(&expired[0]).unwrap();
    assert_eq!(expired, expected);
}
