//! Which of several pods is picked.

use std::process::Stdio;

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, ReplicaSet, ReplicaSetSpec, StatefulSet, StatefulSetSpec,
};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use podgate_tests::fixtures::stand::Stand;
use podgate_tests::instruments::eventually::eventually;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::{SOON, app, deployment, knows, leads, metadata, refused, watched, web};

/// One object of each kind, named as the `app` of its pods.
fn one_of_each(stand: &Stand) {
    let cluster = &stand.cluster;
    cluster.put(deployment("prod", "deploy"));
    cluster.put(ReplicaSet {
        metadata: metadata("prod", "rs"),
        spec: Some(ReplicaSetSpec {
            selector: app("rs"),
            ..ReplicaSetSpec::default()
        }),
        ..ReplicaSet::default()
    });
    cluster.put(StatefulSet {
        metadata: metadata("prod", "sts"),
        spec: Some(StatefulSetSpec {
            selector: app("sts"),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    });
    cluster.put(DaemonSet {
        metadata: metadata("prod", "ds"),
        spec: Some(DaemonSetSpec {
            selector: app("ds"),
            ..DaemonSetSpec::default()
        }),
        ..DaemonSet::default()
    });
    cluster.put(Job {
        metadata: metadata("prod", "job"),
        spec: Some(JobSpec {
            selector: Some(app("job")),
            ..JobSpec::default()
        }),
        ..Job::default()
    });
    cluster.put(service(
        "svc",
        ServiceSpec {
            selector: app("svc").match_labels,
            ..ServiceSpec::default()
        },
    ));
}

fn service(name: &str, spec: ServiceSpec) -> Service {
    Service {
        metadata: metadata("prod", name),
        spec: Some(spec),
        ..Service::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_leads_to_a_ready_pod_of_its_own() {
    let stand = watched("").await;
    one_of_each(&stand);
    let kinds = ["deploy", "rs", "sts", "ds", "job", "svc"];
    for kind in kinds {
        let add = |name: String| web(&stand, "prod", &name, kind);
        // Neither of these two is picked, though they come first by name.
        stand.cluster.add(add(format!("a-{kind}")).unready());
        stand.cluster.add(add(format!("b-{kind}")).deleted());
        let picked = add(format!("c-{kind}"));
        let picked = picked.sidecar("proxy", "prod-proxy");
        stand.cluster.add(picked);
        let elsewhere = format!("a-{kind}");
        stand.cluster.add(web(&stand, "other", &elsewhere, kind));
    }
    knows(&stand, 25).await;
    for kind in kinds {
        for _ in 0..2 {
            let login = format!("{kind}/{kind}.prod");
            let expect = format!("c-{kind}.prod");
            assert_eq!(leads(&stand.client, &login).await, expect);
        }
        let labels = format!("app={kind}.prod");
        assert_eq!(
            leads(&stand.client, &labels).await,
            format!("c-{kind}.prod")
        );
        // The selector of an object is known for a while. These pods come meanwhile.
        let other = format!("{kind}/{kind}.prod+proxy");
        assert_eq!(leads(&stand.client, &other).await, "");
    }
    // Each object was read once, and no pod at all.
    for resource in [
        "deployments",
        "replicasets",
        "statefulsets",
        "daemonsets",
        "jobs",
        "services",
    ] {
        assert_eq!(stand.api.requests("get", resource), 1, "{resource}");
    }
    assert_eq!(stand.api.pod_requests(), 0);
    assert_eq!(stand.api.requests("list", "pods"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_none_it_is_said() {
    let stand = watched("").await;
    for name in ["empty", "starts", "web"] {
        stand.cluster.put(deployment("prod", name));
    }
    let starts = web(&stand, "prod", "starts-0", "starts").unready();
    stand.cluster.add(starts);
    stand.cluster.add(web(&stand, "prod", "web-0", "web"));
    let external = ServiceSpec {
        type_: Some("ExternalName".to_owned()),
        external_name: Some("example.com".to_owned()),
        ..ServiceSpec::default()
    };
    stand.cluster.put(service("far", external));
    let none = ServiceSpec::default();
    stand.cluster.put(service("manual", none));
    for (login, expect) in [
        ("deploy/empty.prod", "deploy/empty.prod: it has no pods"),
        (
            "deploy/starts.prod",
            "deploy/starts.prod: none of its pods is ready (it has 1)",
        ),
        (
            "app=starts.prod",
            "app=starts.prod: none of its pods is ready (it has 1)",
        ),
        (
            "svc/far.prod",
            "svc/far.prod: it is of type ExternalName and has no pods",
        ),
        (
            "svc/manual.prod",
            "svc/manual.prod: it has no selector, so its pods are not known",
        ),
        (
            "deploy/web.prod+none",
            "no container none in pod web-0; it has main",
        ),
        (
            "deploy/nosuch.prod",
            "no deploy/nosuch in namespace prod, or you may not enter its pods",
        ),
        (
            "app=nosuch.prod",
            "no pod with app=nosuch in namespace prod, or you may not enter it",
        ),
    ] {
        assert_eq!(refused(&stand.client, login).await, expect);
    }
}

/// A session that stays, and the pod that it is in.
async fn stays(stand: &Stand, login: &str) -> (Child, String) {
    let mut ssh = stand.client.ssh(&[], login);
    let ssh = ssh.arg("echo $WHERE; cat").stdin(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    let mut place = String::new();
    let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
    stdout.read_line(&mut place).await.unwrap();
    (child, place.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_with_the_fewest_sessions() {
    let stand = watched("").await;
    stand.cluster.put(deployment("prod", "web"));
    for name in ["web-a", "web-b", "web-c"] {
        stand.cluster.add(web(&stand, "prod", name, "web"));
    }
    knows(&stand, 4).await;
    // A session in a named pod counts, too.
    let (_direct, place) = stays(&stand, "web-a.prod").await;
    assert_eq!(place, "web-a.prod");
    let at_once = futures_util::future::join_all([
        stays(&stand, "deploy/web.prod"),
        stays(&stand, "app=web.prod"),
    ]);
    let mut sessions = at_once.await;
    sessions.sort_by(|a, b| a.1.cmp(&b.1));
    let places: Vec<_> = sessions.iter().map(|(_, place)| place.as_str()).collect();
    assert_eq!(places, ["web-b.prod", "web-c.prod"]);
    let (next, place) = stays(&stand, "deploy/web.prod").await;
    assert_eq!(place, "web-a.prod");
    // Once a client hears of a session's end, its place is free.
    let (mut gone, place) = sessions.remove(1);
    drop(gone.stdin.take());
    assert!(gone.wait().await.unwrap().success());
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, place);
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, place);
    drop(next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_comes_back_gets_the_same() {
    let stand = watched("cluster: {affinitySeconds: 3600}\n").await;
    stand.cluster.put(deployment("prod", "web"));
    let names: Vec<_> = (0..8).map(|n| format!("web-{n}")).collect();
    for name in &names {
        stand.cluster.add(web(&stand, "prod", name, "web"));
    }
    knows(&stand, 9).await;
    let (_other, other) = stand.another_frontdoor().await.unwrap();
    stand.api.wait_watches(2).await.unwrap();
    let first = leads(&stand.client, "deploy/web.prod").await;
    // Other sessions there make no difference, and neither does another frontdoor.
    let (_stays, place) = stays(&stand, "deploy/web.prod").await;
    assert_eq!(place, first);
    assert_eq!(leads(&other, "deploy/web.prod").await, first);
    // Pods that come do not move who was there a moment ago.
    for n in 8..16 {
        stand
            .cluster
            .add(web(&stand, "prod", &format!("web-{n}"), "web"));
    }
    knows(&stand, 17).await;
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, first);
    // One that is not ready any more is left.
    let name = first.strip_suffix(".prod").unwrap();
    let not_ready = web(&stand, "prod", name, "web").unready();
    stand.cluster.replace(not_ready);
    let elsewhere = || async {
        let now = leads(&stand.client, "deploy/web.prod").await;
        (now != first).then_some(now)
    };
    let next = eventually("another pod", SOON, elsewhere).await.unwrap();
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_choice_is_said_on_terminals() {
    let stand = watched("").await;
    stand.cluster.put(deployment("prod", "web"));
    stand.cluster.add(web(&stand, "prod", "web-0", "web"));
    let said = "podgate: pod web-0 in prod, container main\r\n";
    for (login, expect) in [
        ("deploy/web.prod", said),
        ("app=web.prod", said),
        ("web-0.prod", ""),
    ] {
        let terminal = stand
            .client
            .terminal(login, &["echo", "$WHERE"], 24, 80)
            .unwrap();
        let (seen, status) = terminal.end().await.unwrap();
        assert_eq!((seen, status), (format!("{expect}web-0.prod\r\n"), 0));
        // Without one the program's own words are all there is.
        assert_eq!(leads(&stand.client, login).await, "web-0.prod");
    }
}
