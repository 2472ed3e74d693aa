//! Pods as an API server gives them.

use super::*;

fn pod() -> core::Pod {
    let status = |name: &str, id: &str| core::ContainerStatus {
        name: name.into(),
        container_id: Some(format!("containerd://{id}")),
        state: Some(core::ContainerState {
            running: Some(core::ContainerStateRunning::default()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let container = |name: &str| core::Container {
        name: name.into(),
        ..Default::default()
    };
    core::Pod {
        metadata: kube::api::ObjectMeta {
            name: Some("web-0".into()),
            namespace: Some("prod".into()),
            uid: Some("u1".into()),
            ..Default::default()
        },
        spec: Some(core::PodSpec {
            node_name: Some("node-a".into()),
            containers: vec![container("main"), container("side")],
            init_containers: Some(vec![container("proxy")]),
            ephemeral_containers: Some(vec![core::EphemeralContainer {
                name: "debug".into(),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        status: Some(core::PodStatus {
            host_ip: Some("10.0.0.1".into()),
            container_statuses: Some(vec![
                status("main", "c1"),
                core::ContainerStatus {
                    name: "side".into(),
                    ..Default::default()
                },
            ]),
            init_container_statuses: Some(vec![status("proxy", "c2")]),
            ephemeral_container_statuses: Some(vec![status("debug", "c3")]),
            ..Default::default()
        }),
    }
}

#[test]
fn a_container_is_chosen_as_kubectl_does() {
    let check = |annotation: Option<&str>, asked: Option<&str>, expect: Result<&str, ()>| {
        let mut pod = pod();
        pod.metadata.annotations =
            annotation.map(|name| [(DEFAULT_CONTAINER.to_owned(), name.to_owned())].into());
        let pod = reduce(pod).unwrap();
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
    let pod = reduce(pod()).unwrap();
    assert_eq!(
        choose(&pod, Some("none")).unwrap_err().to_string(),
        "no container none in pod web-0; it has main, side, proxy, debug"
    );
}

#[test]
fn a_pod_is_reduced_to_what_a_session_needs() {
    let reduced = reduce(pod()).unwrap();
    let running: Vec<_> = reduced
        .containers
        .iter()
        .map(|c| c.running.as_deref())
        .collect();
    let ids =
        ["c1", "", "c2", "c3"].map(|id| (!id.is_empty()).then(|| format!("containerd://{id}")));
    assert_eq!(
        running,
        ids.iter().map(Option::as_deref).collect::<Vec<_>>()
    );
    assert_eq!(reduced.node_address, IpAddr::from([10, 0, 0, 1]));

    let mut mirror = pod();
    mirror.metadata.annotations = Some([(MIRROR.to_owned(), "hash".to_owned())].into());
    assert_eq!(reduce(mirror).unwrap().uid, "hash");

    let mut pending = pod();
    pending.status = None;
    assert_eq!(reduce(pending), None);
}
