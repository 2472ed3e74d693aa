//! Token reviews, and tokens as those of callers.

use podgate_tests::stand_ins::apiserver::{API_AUDIENCE, Token};
use serde_json::{Value, json};

use super::both::against_both;
use super::server::{Server, without_managers};
use super::stand::{Stand, WEB};

async fn review(server: &impl Server, token: &str, audiences: &[&str]) -> Value {
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
    let answer = server.client().await.request(request).await.unwrap();
    let mut answer = without_managers(answer);
    let status = answer.as_object_mut().unwrap().remove("status").unwrap();
    assert_eq!(answer, review);
    status
}

/// A status without the fields that the stand-in does not set: UIDs, and the credential itself.
fn known(mut status: Value) -> Value {
    let user = status["user"].as_object_mut().unwrap();
    if let Some(uid) = user.remove("uid") {
        assert_eq!(uid.as_str().unwrap().len(), 36, "{uid}");
    }
    if let Some(extra) = user.get_mut("extra").and_then(Value::as_object_mut) {
        extra.retain(|key, _| key.ends_with("-name"));
    }
    status
}

against_both!(a_token_is_reviewed_in_the_words_of_a_real_server);

async fn a_token_is_reviewed_in_the_words_of_a_real_server(server: impl Server) {
    let bound = server.bound_token("podgate").await;
    let extra = |name: &str| format!("authentication.kubernetes.io/{name}");
    let expected = json!({
        "authenticated": true,
        "user": {
            "username": "system:serviceaccount:default:default",
            "groups": [
                "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated",
            ],
            "extra": {extra("node-name"): ["node-a"], extra("pod-name"): ["bb"]},
        },
        "audiences": ["podgate"],
    });
    let status = review(&server, &bound, &["podgate"]).await;
    assert!(status["user"]["uid"].is_string(), "{status}");
    assert_eq!(known(status), expected);
    let status = review(&server, &bound, &["x", "podgate"]).await;
    assert_eq!(known(status), expected);
    let expected = json!({
        "user": {},
        "error": "[invalid bearer token, token audiences [\"podgate\"] is invalid for the target audiences [\"other\"]]",
    });
    assert_eq!(review(&server, &bound, &["other"]).await, expected);
    let unknown = json!({"user": {}, "error": "invalid bearer token"});
    assert_eq!(review(&server, "lost", &["podgate"]).await, unknown);
    // Its audience is not the server.
    assert_eq!(server.json(WEB, &bound, None).await.0, 401);
}

#[tokio::test]
async fn a_token_says_what_it_was_given_until_it_is_removed() {
    let stand = Stand::new().await;
    let bound = stand.bound_token("podgate").await;
    let status = review(&stand, &bound, &["podgate"]).await;
    assert_eq!(
        status["user"]["uid"],
        "74687ca1-3b06-4f5e-b7b1-5cc881a92337"
    );
    stand.api.remove_token(&bound);
    let unknown = json!({"user": {}, "error": "invalid bearer token"});
    assert_eq!(review(&stand, &bound, &["podgate"]).await, unknown);
    assert_eq!(stand.api.requests("create", "tokenreviews"), 2);
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
    // The stand knows nothing of tokens that others have issued.
    stand.api.set_tokens(&["new"]);
    assert_eq!(stand.json(WEB, "own", None).await.0, 200);
    assert_eq!(stand.json(WEB, stand.api.token(), None).await.0, 401);
}
