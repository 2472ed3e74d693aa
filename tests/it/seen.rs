//! What operators see: one id in both ends' logs, metrics, and neither secrets nor contents.

use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand, TOKEN};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_log_a_session_under_one_id() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    let mut ssh = stand.client.ssh(&["-oSetEnv=LC_SECRET=hunter2"], "demo");
    let output = ssh
        .arg("echo content-of-the-session")
        .output()
        .await
        .unwrap();
    assert_eq!(output.stdout, b"content-of-the-session\n");
    let end = |line: &serde_json::Value| line["message"] == "session ends";
    let frontdoor = stand.frontdoor.wait_log(SOON, end).await.unwrap();
    let agent = stand.agent.wait_log(SOON, end).await.unwrap();
    let id = frontdoor["span"]["id"].as_str().unwrap();
    assert_eq!((id.len(), agent["span"]["id"].as_str()), (32, Some(id)));
    assert_eq!(frontdoor["span"]["user"], "ada");

    for part in [&stand.frontdoor, &stand.agent] {
        let log = part.log().join("\n");
        for secret in ["content-of-the-session", "hunter2", TOKEN, "PRIVATE KEY"] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_sessions_bytes_and_legs() {
    let stand = Stand::embedded(Changes::default()).await.unwrap();
    stand
        .client
        .feed("demo", "cat", &[b'x'; 100_000])
        .await
        .unwrap();
    stand.client.run(&[], "demo", "exit 7").await.unwrap();
    stand.client.run(&[], "nosuch", "true").await.unwrap();
    let frontdoor = [
        "podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"exited\"} 2",
        "podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"failed\"} 1",
        "podgate_frontdoor_logins_total{outcome=\"accepted\"} 3",
        "podgate_frontdoor_sessions_active 0",
        "podgate_frontdoor_input_bytes_total 100000",
        "podgate_frontdoor_output_bytes_total 100000",
        "podgate_frontdoor_leg_seconds_count{leg=\"route\"} 2",
        "podgate_frontdoor_leg_seconds_count{leg=\"agent\"} 2",
        "podgate_frontdoor_leg_seconds_count{leg=\"start\"} 2",
    ];
    stand.frontdoor.counts(SOON, &frontdoor).await.unwrap();
    let agent = [
        "podgate_agent_sessions_total{action=\"exec\",outcome=\"exited\"} 2",
        "podgate_agent_sessions_active 0",
        "podgate_agent_input_bytes_total 100000",
        "podgate_agent_output_bytes_total 100000",
        "podgate_agent_session_start_seconds_count 2",
    ];
    stand.agent.counts(SOON, &agent).await.unwrap();
    // The API server was asked whether they may, and never for a stream.
    assert_eq!(stand.api.requests("create", "subjectaccessreviews"), 2);
    assert_eq!(stand.api.requests("create", "pods/exec"), 0);
}
