//! Pods as an API server gives them.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::destination::{Destination, choose};
use super::loads::Loads;
use super::pod_object::PodObject;
use super::record::{Pools, Record};
use crate::config::ClusterBounds;
use crate::login_name::Selector;

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
    let seen: PodObject = serde_json::from_value(pod).unwrap();
    let (pools, bounds) = (&mut Pools::default(), ClusterBounds::default());
    let (namespace, record) = Record::new(seen.pod, 1, pools, &bounds).unwrap();
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
fn what_is_over_a_bound_is_not_kept() {
    let bounds = ClusterBounds::default();
    let mut large = web();
    large["metadata"]["labels"]["x"] = "y".repeat(bounds.pod_bytes).into();
    let mut many = web();
    many["spec"]["containers"] = vec![json!({"name": "c"}); bounds.pod_bytes / 32].into();
    for pod in [large, many] {
        let kept = record(pod);
        assert!(!kept.is_whole() && kept.uid.is_known());
        let pod = kept.pod("prod").unwrap();
        assert!(pod.labels.is_empty() && pod.containers.is_empty());
        let any = Selector::All(Vec::new());
        assert!(!kept.is_of(&any) && record(web()).is_of(&any));
    }

    let mut mirror = web();
    mirror["status"]["conditions"][1]["status"] = "True".into();
    assert!(record(mirror.clone()).ready);
    let uid = "u".repeat(bounds.uid_bytes + 1);
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": uid});
    let kept = record(mirror);
    assert!(!kept.ready && !kept.uid.is_known());
    let slot = Arc::new(Loads::default()).slot(&kept.uid);
    let error = Destination::new("prod", &kept, None, slot).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the UID of pod web-0 is too long to be recorded, so no session may enter it"
    );
    assert_eq!(error.limit(), Some("uidBytes"));
}

#[test]
fn an_init_container_that_runs_is_known() {
    let check = |wait: Value, expect: Option<&str>| {
        let mut pod = web();
        pod["status"]["initContainerStatuses"][0]["state"] = wait;
        let pod = record(pod).pod("prod").unwrap();
        assert_eq!(pod.initializing.as_deref(), expect);
    };
    check(json!({"running": {}}), Some("wait"));
    check(json!({"waiting": {}}), None);
    // The sidecar runs, but the others do not wait for it.
    check(json!({"terminated": {"exitCode": 0}}), None);
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
