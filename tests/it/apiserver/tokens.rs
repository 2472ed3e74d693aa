//! Token reviews, and tokens as those of callers.

use podgate_tests::stand_ins::apiserver::{API_AUDIENCE, Token};
use serde_json::{Value, json};

use super::{Stand, WEB};

async fn review(stand: &Stand, token: &str, audiences: &[&str]) -> Value {
    let mut review = json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
        "spec": {"token": token, "audiences": audiences},
    });
    if audiences.is_empty() {
        review["spec"].as_object_mut().unwrap().remove("audiences");
    }
    let request = http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews")
        .body(serde_json::to_vec(&review).unwrap())
        .unwrap();
    let mut answer: Value = stand.client().await.request(request).await.unwrap();
    let status = answer.as_object_mut().unwrap().remove("status").unwrap();
    assert_eq!(answer, review);
    status
}

#[tokio::test]
async fn a_token_is_reviewed_in_the_words_of_a_real_server() {
    let stand = Stand::new().await;
    let extra = |name: &str| format!("authentication.kubernetes.io/{name}");
    let token = Token::service_account("default", "default")
        .uid("74687ca1-3b06-4f5e-b7b1-5cc881a92337")
        .extra(&extra("node-name"), &["node-a"])
        .extra(&extra("pod-name"), &["bb"])
        .audience("podgate");
    stand.api.add_token("bound", token);
    let expected = json!({
        "authenticated": true,
        "user": {
            "username": "system:serviceaccount:default:default",
            "uid": "74687ca1-3b06-4f5e-b7b1-5cc881a92337",
            "groups": [
                "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated",
            ],
            "extra": {extra("node-name"): ["node-a"], extra("pod-name"): ["bb"]},
        },
        "audiences": ["podgate"],
    });
    assert_eq!(review(&stand, "bound", &["podgate"]).await, expected);
    assert_eq!(review(&stand, "bound", &["x", "podgate"]).await, expected);
    let expected = json!({
        "user": {},
        "error": "[invalid bearer token, token audiences [\"podgate\"] is invalid for the target audiences [\"other\"]]",
    });
    assert_eq!(review(&stand, "bound", &["other"]).await, expected);
    let unknown = json!({"user": {}, "error": "invalid bearer token"});
    assert_eq!(review(&stand, "lost", &["podgate"]).await, unknown);
    stand.api.remove_token("bound");
    assert_eq!(review(&stand, "bound", &["podgate"]).await, unknown);
    assert_eq!(stand.api.requests("create", "tokenreviews"), 5);
}

#[tokio::test]
async fn a_token_for_another_audience_calls_nobody() {
    let stand = Stand::new().await;
    stand.api.add_token("own", Token::of("alice"));
    stand
        .api
        .add_token("other", Token::of("alice").audience("podgate"));
    assert_eq!(stand.json(WEB, "own", None).await.0, 200);
    assert_eq!(stand.json(WEB, "other", None).await.0, 401);
    let status = review(&stand, "own", &[]).await;
    assert_eq!(status["audiences"], json!([API_AUDIENCE]));
    // Of others' tokens, the stand's own knows nothing.
    stand.api.set_tokens(&["new"]);
    assert_eq!(stand.json(WEB, "own", None).await.0, 200);
    assert_eq!(stand.json(WEB, stand.api.token(), None).await.0, 401);
}
