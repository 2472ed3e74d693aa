//! The API server stand-in breaks when told to, and mends.

use std::io::ErrorKind;
use std::time::Duration;

use kube::api::{ListParams, WatchParams};
use podgate_tests::stand_ins::apiserver::ApiFault;

use super::server::Server;
use super::stand::{Stand, WEB};

#[tokio::test]
async fn faults_hold_until_taken_back() {
    let stand = Stand::new().await;
    let token = stand.api.token().to_owned();
    stand.api.set_fault(ApiFault::InternalError).await.unwrap();
    assert_eq!(stand.json(WEB, &token, None).await.0, 500);
    stand.api.set_fault(ApiFault::Refused).await.unwrap();
    let refused = stand.get(WEB, &token, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    stand.api.set_fault(ApiFault::Silent).await.unwrap();
    let silent = stand.get(WEB, &token, None);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), silent)
            .await
            .is_err()
    );
    stand.api.set_fault(ApiFault::None).await.unwrap();
    assert_eq!(stand.json(WEB, &token, None).await.0, 200);
}

#[tokio::test]
async fn too_much_is_answered_as_by_priority_and_fairness() {
    let stand = Stand::new().await;
    let fault = ApiFault::TooManyRequests { retry_after: 7 };
    stand.api.set_fault(fault).await.unwrap();
    let answer = stand.answer(WEB, stand.api.token(), None).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nRetry-After: 7\r\n"), "{head}");
    assert_eq!(body, "Too many requests, please try again later.\n");
}

#[tokio::test]
async fn an_answer_can_be_late() {
    let stand = Stand::new().await;
    stand.api.set_delay(Duration::from_secs(3600));
    let late = stand.get(WEB, stand.api.token(), None);
    let (late, came) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(100), late),
        stand.api.wait_requests("get", "pods", 1),
    );
    came.unwrap();
    assert!(late.is_err());
    stand.api.set_delay(Duration::ZERO);
    let (code, _) = stand.get(WEB, stand.api.token(), None).await.unwrap();
    assert_eq!(code, 200);
}

#[tokio::test]
async fn watches_end_together_or_with_their_connections() {
    use futures_util::StreamExt;

    let stand = Stand::new().await;
    let pods = stand.pods().await;
    let version = pods.list(&ListParams::default()).await.unwrap().metadata;
    let version = version.resource_version.unwrap();
    let watch = async || pods.watch(&WatchParams::default(), &version).await.unwrap();

    let (a, b) = (watch().await, watch().await);
    stand.api.wait_watches(2).await.unwrap();
    stand.api.end_watches();
    assert_eq!(a.count().await + b.count().await, 0);
    stand.api.wait_watches(0).await.unwrap();

    let cut = watch().await;
    stand.api.wait_watches(1).await.unwrap();
    stand.api.cut().await.unwrap();
    let ends: Vec<_> = cut.collect().await;
    assert!(ends.iter().all(|end| end.is_err()), "{ends:?}");
    stand.api.wait_watches(0).await.unwrap();

    // A client that leaves does not leave its watch behind.
    let left = watch().await;
    stand.api.wait_watches(1).await.unwrap();
    drop(left);
    stand.api.wait_watches(0).await.unwrap();
    assert_eq!(stand.api.requests("watch", "pods"), 4);
}
