//! Which containers live, by what kubelets say.

use super::*;

/// Shaped as a kubelet 1.36 answers, down to what is read.
const PODS: &str = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[
    {"metadata":{"name":"web-0","namespace":"prod","uid":"u1","labels":{"app":"web"},"managedFields":[{"fieldsV1":{"f:a":{}}}]},
     "spec":{"hostNetwork":true,"runtimeClassName":"kata","containers":[]},
     "status":{"phase":"Running",
       "containerStatuses":[
         {"name":"main","containerID":"containerd://c1","state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}},
         {"name":"done","containerID":"containerd://c2","state":{"terminated":{"exitCode":0,"reason":"Completed","containerID":"containerd://c2"}}},
         {"name":"big","containerID":"containerd://b2","state":{"running":{}},"lastState":{"terminated":{"exitCode":137,"reason":"OOMKilled","containerID":"containerd://b1"}}},
         {"name":"killed","containerID":"containerd://k1","state":{"terminated":{"exitCode":137,"reason":"OOMKilled","containerID":"containerd://k1"}}},
         {"name":"waits","containerID":"containerd://w1","state":{"waiting":{"reason":"CrashLoopBackOff"}},"lastState":{"terminated":{"exitCode":137,"reason":"OOMKilled","containerID":"containerd://w1"}}}],
       "ephemeralContainerStatuses":[
         {"name":"debug","containerID":"containerd://c3","state":{"running":{}}}]}}]}"#;

/// The list in pieces, where rules are about labels of these keys.
fn read(keys: &[&str]) -> Result<PodList, Error> {
    let keys = keys.iter().map(|&key| key.to_owned()).collect();
    let mut reading = Reading::new(&keys);
    for piece in PODS.as_bytes().chunks(100) {
        reading.feed(piece)?;
    }
    reading.end()
}

#[test]
fn only_the_granted_container_is_live() {
    let list = read(&["app"]).unwrap();
    let check = |pod: &str, uid: &str, container: &str, id: &str| {
        let granted = Granted {
            namespace: "prod".into(),
            pod: pod.into(),
            uid: uid.into(),
            container: container.into(),
            container_id: format!("containerd://{id}"),
        };
        find(&list, &granted)
            .map(Pod::facts)
            .map_err(|error| error.to_string())
    };
    let live = Facts {
        labels: BTreeMap::from([("app".into(), "web".into())]),
        runtime_class: Some("kata".into()),
        host_network: true,
    };
    assert_eq!(check("web-0", "u1", "main", "c1"), Ok(live.clone()));
    assert_eq!(check("web-0", "u1", "debug", "c3"), Ok(live));
    for (pod, uid, container, id, error) in [
        ("web-1", "u1", "main", "c1", Error::PodGone),
        ("web-0", "u0", "main", "c1", Error::PodReplaced),
        ("web-0", "u1", "main", "c0", Error::Restarted),
        ("web-0", "u1", "done", "c2", Error::NotRunning),
        ("web-0", "u1", "none", "c1", Error::NotRunning),
        ("web-0", "u1", "big", "b1", Error::OutOfMemory),
        ("web-0", "u1", "big", "b0", Error::Restarted),
        ("web-0", "u1", "killed", "k1", Error::OutOfMemory),
        ("web-0", "u1", "killed", "k0", Error::NotRunning),
        ("web-0", "u1", "waits", "w1", Error::OutOfMemory),
    ] {
        assert_eq!(check(pod, uid, container, id), Err(error.to_string()));
    }
}

#[test]
fn only_labels_that_rules_are_about_are_kept() {
    let labels = |keys: &[&str]| read(keys).unwrap().0[0].metadata.labels.len();
    assert_eq!((labels(&["app"]), labels(&["tier"])), (1, 0));
}
