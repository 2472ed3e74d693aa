//! Pods as an API server gives them.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::destination::choose;
use super::record::{Pools, Record};
use super::wire::Seen;

fn web() -> Value {
    let running = |name: &str, id: &str| {
        json!({"name": name, "containerID": format!("containerd://{id}"),
        "ready": true, "image": "web", "restartCount": 3, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}})
    };
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "web-0", "namespace": "prod", "uid": "u1", "resourceVersion": "7",
            "labels": {"app": "web", "tier": "x"}, "managedFields": [{"fieldsV1": {"f:spec": {}}}]},
        "spec": {"nodeName": "node-a", "runtimeClassName": "gvisor", "volumes": [{"name": "v"}],
            "containers": [{"name": "main", "env": []}, {"name": "side"}],
            "initContainers": [{"name": "wait"}, {"name": "proxy", "restartPolicy": "Always"}],
            "ephemeralContainers": [{"name": "debug"}]},
        "status": {"phase": "Running", "hostIP": "10.0.0.1",
            "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}],
            "containerStatuses": [running("main", "c1"), {"name": "side", "ready": false, "state": {"waiting": {}}}],
            "initContainerStatuses": [
                {"name": "wait", "ready": true, "containerID": "containerd://c0", "state": {"terminated": {"exitCode": 0}}},
                running("proxy", "c2")],
            "ephemeralContainerStatuses": [running("debug", "c3")]},
    })
}

fn record(pod: Value) -> Record {
    let seen: Seen = serde_json::from_value(pod).unwrap();
    let (namespace, record) = Record::new(seen.pod, 1, &mut Pools::default()).unwrap();
    assert_eq!(namespace, "prod");
    record
}

#[test]
fn a_container_is_chosen_as_kubectl_does() {
    let check = |annotation: Option<&str>, asked: Option<&str>, expect: Result<&str, ()>| {
        let mut pod = web();
        if let Some(name) = annotation {
            pod["metadata"]["annotations"] =
                json!({"kubectl.kubernetes.io/default-container": name, "other": "x"});
        }
        let pod = record(pod).pod("prod").unwrap();
        let chosen = choose(&pod, asked).map(|container| container.name.as_str());
        assert_eq!(chosen.map_err(drop), expect, "{annotation:?} {asked:?}");
    };
    check(None, None, Ok("main"));
    check(Some("side"), None, Ok("side"));
    check(Some("gone"), None, Ok("main"));
    check(Some("side"), Some("main"), Ok("main"));
    check(None, Some("proxy"), Ok("proxy"));
    check(None, Some("debug"), Ok("debug"));
    check(None, Some("none"), Err(()));
    let pod = record(web()).pod("prod").unwrap();
    assert_eq!(
        choose(&pod, Some("none")).unwrap_err().to_string(),
        "no container none in pod web-0; it has main, side, wait, proxy, debug"
    );
}

#[test]
fn a_pod_is_kept_down_to_what_routing_needs() {
    let kept = record(web());
    let pod = kept.pod("prod").unwrap();
    let containers = pod.containers.iter();
    let running: Vec<_> = containers.map(|c| c.running.as_deref()).collect();
    let id = |id: &str| (!id.is_empty()).then(|| format!("containerd://{id}"));
    let ids = ["c1", "", "", "c2", "c3"].map(id);
    assert_eq!(running, ids.each_ref().map(Option::as_deref));
    assert_eq!(pod.node_address, IpAddr::from([10, 0, 0, 1]));
    assert_eq!(pod.labels["tier"], "x");
    assert_eq!(pod.runtime_class.as_deref(), Some("gvisor"));
    assert_eq!((pod.uid.as_str(), pod.node.as_str()), ("u1", "node-a"));
    assert_eq!(
        (kept.at_work().as_str(), kept.status(), kept.ready),
        ("2/3", "Running", false)
    );
    for (wanted, width) in [(0, 3), (9, 3), (10, 4), (99, 4), (100, 5)] {
        let mut pod = web();
        pod["spec"]["initContainers"].take();
        pod["spec"]["containers"] = vec![json!({"name": "none"}); wanted].into();
        let kept = record(pod);
        assert_eq!((kept.at_work_width(), kept.at_work().len()), (width, width));
    }

    let mut ready = web();
    ready["status"]["conditions"][1]["status"] = "True".into();
    ready["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let ready = record(ready);
    assert!(ready.ready && ready.deleted);
    assert_eq!(ready.status(), "Terminating");

    let mut mirror = web();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "hash"});
    assert_eq!(record(mirror).pod("prod").unwrap().uid, "hash");

    let mut pending = web();
    pending["status"] = json!({"phase": "Pending"});
    pending["spec"]["nodeName"].take();
    let pending = record(pending);
    assert_eq!(pending.pod("prod"), None);
    assert_eq!((pending.status(), pending.node), ("Pending", None));
}
