//! What the API server is asked for: by a watch that is behind, ends or starts anew, and without one.

use podgate_tests::instruments::eventually::eventually;
use podgate_tests::stand_ins::apiserver::ApiFault;
use rustix::process::Signal;

use super::{SOON, deployment, knows, leads, refused, stand, watched, web};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_watch_each_session_asks() {
    let stand = stand("watchPods: false\n").await;
    assert_eq!(stand.frontdoor.admin("/readyz").await.unwrap().0, 200);
    stand.cluster.put(deployment("prod", "web"));
    stand
        .cluster
        .add(web(&stand, "prod", "web-0", "web").unready());
    stand.cluster.add(web(&stand, "prod", "web-1", "web"));
    stand.cluster.add(web(&stand, "prod", "db-0", "db"));
    assert_eq!(leads(&stand.client, "db-0.prod").await, "db-0.prod");
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, "web-1.prod");
    assert_eq!(leads(&stand.client, "app=db.prod").await, "db-0.prod");
    assert_eq!(
        refused(&stand.client, "pods").await,
        "this frontdoor does not watch the cluster's pods (watchPods) and cannot list them"
    );
    let asked = |verb, resource| stand.api.requests(verb, resource);
    assert_eq!(asked("get", "pods"), 1);
    assert_eq!(asked("get", "deployments"), 1);
    assert_eq!(asked("list", "pods"), 2);
    assert_eq!(asked("watch", "pods"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_behind_is_helped_out() {
    let stand = watched("").await;
    stand.api.hold_watches(true);
    stand.cluster.put(deployment("prod", "web"));
    stand.cluster.add(web(&stand, "prod", "web-0", "web"));
    // Each is looked up once.
    assert_eq!(leads(&stand.client, "web-0.prod").await, "web-0.prod");
    assert_eq!(stand.api.pod_requests(), 1);
    let lists = stand.api.requests("list", "pods");
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, "web-0.prod");
    assert_eq!(stand.api.requests("list", "pods"), lists + 1);
    stand.api.hold_watches(false);
    knows(&stand, 2).await;
    assert_eq!(leads(&stand.client, "web-0.prod").await, "web-0.prod");
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, "web-0.prod");
    assert_eq!(stand.api.pod_requests(), 1);
    assert_eq!(stand.api.requests("list", "pods"), lists + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_watch_has_missed_is_listed_anew() {
    let stand = watched("").await;
    stand.cluster.put(deployment("prod", "web"));
    for name in ["web-0", "web-1"] {
        stand.cluster.add(web(&stand, "prod", name, "web"));
    }
    knows(&stand, 3).await;
    stand.api.hold_watches(true);
    stand.cluster.remove("prod", "web-0");
    stand.cluster.remove("prod", "web-1");
    stand.cluster.add(web(&stand, "prod", "web-2", "web"));
    // The pod goes before the watch, which ends, could tell.
    stand.cluster.compact();
    stand.api.end_watches();
    stand.api.hold_watches(false);
    knows(&stand, 2).await;
    assert_eq!(leads(&stand.client, "deploy/web.prod").await, "web-2.prod");
    assert_eq!(leads(&stand.client, "web-2.prod").await, "web-2.prod");
    assert_eq!(stand.api.pod_requests(), 0);
    assert_eq!(stand.api.requests("list", "pods"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_is_not_missed_once_all_is_known() {
    let mut stand = watched("").await;
    stand.cluster.put(deployment("prod", "web"));
    stand.cluster.add(web(&stand, "prod", "web-0", "web"));
    knows(&stand, 2).await;
    let logins = ["deploy/web.prod", "app=web.prod", "web-0.prod"];
    for login in logins {
        assert_eq!(leads(&stand.client, login).await, "web-0.prod");
    }
    let ready = async |stand: &podgate_tests::fixtures::stand::Stand| {
        let (status, _) = stand.frontdoor.admin("/readyz").await.unwrap();
        status == 200
    };
    for fault in [ApiFault::InternalError, ApiFault::Silent, ApiFault::Refused] {
        let before = stand.frontdoor.log().len();
        stand.api.set_fault(fault).await.unwrap();
        stand.api.cut().await.unwrap();
        let missed = |line: &serde_json::Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message == "watching the cluster's pods"
        };
        let log = stand.frontdoor.wait_log_from(before, SOON, missed);
        log.await.unwrap();
        for login in logins {
            assert_eq!(leads(&stand.client, login).await, "web-0.prod", "{fault:?}");
        }
        assert!(ready(&stand).await, "{fault:?}");
    }
    stand.cluster.add(web(&stand, "prod", "web-1", "web"));
    stand.api.set_fault(ApiFault::None).await.unwrap();
    knows(&stand, 3).await;

    // A frontdoor that starts meanwhile is not ready before it knows the cluster.
    stand.api.set_fault(ApiFault::Refused).await.unwrap();
    stand.frontdoor.signal(Signal::KILL).unwrap();
    stand.frontdoor.ended().await.unwrap();
    stand.restart_frontdoor().await.unwrap();
    assert!(!ready(&stand).await);
    assert_eq!(
        refused(&stand.client, "pods").await,
        "the cluster's pods are not known yet; try again in a moment"
    );
    stand.api.set_fault(ApiFault::None).await.unwrap();
    let is_ready = || async { ready(&stand).await.then_some(()) };
    eventually("readiness", SOON, is_ready).await.unwrap();
    assert_eq!(leads(&stand.client, "web-1.prod").await, "web-1.prod");
}
