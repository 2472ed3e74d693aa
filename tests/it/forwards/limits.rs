//! How many forwards there may be, and what is recorded of them.

use serde_json::Value;

use super::*;

/// A forward that stays.
async fn stays(stand: &Stand, option: &str, address: &str) -> Child {
    let mut ssh = stand.client.ssh(&[option, "-W", address], "demo");
    ssh.stdin(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn forwards_have_limits_of_their_own() {
    for (limits, key, words) in [
        (
            "channelsPerConnection: 1, forwardsPerConnection: 2",
            "forwardsPerConnection",
            "resource shortage: the connection has as many forwarded connections as it may have",
        ),
        (
            "forwardsPerUser: 2",
            "forwardsPerUser",
            "resource shortage: you have reached the limit of forwarded connections per user",
        ),
        (
            "forwards: 2",
            "forwards",
            "resource shortage: this frontdoor has reached its limit of forwarded connections",
        ),
    ] {
        let stand = stand(&format!("limits: {{{limits}}}\n")).await;
        let server = Upper::start().await.unwrap();
        let address = format!("127.0.0.1:{}", server.port());
        let shared = stand.client.share("demo").await.unwrap();
        let option = shared.option.as_str();
        let first = stays(&stand, option, &address).await;
        let _second = stays(&stand, option, &address).await;
        let both = ["podgate_frontdoor_forwards_active 2"];
        stand.frontdoor.counts(SOON, &both).await.unwrap();
        let third = stand.client.ssh(&[option, "-W", &address], "demo");
        let output = fed(third, b"x").await;
        assert!(output.stdout.is_empty(), "{key}");
        let counted = format!("podgate_frontdoor_refused_total{{limit=\"{key}\"}} 1");
        stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // The master says it, if ssh itself does not.
        assert!(
            said.is_empty() || !said.contains("open failed") || said.contains(words),
            "{said}"
        );
        // A session has a place beside them.
        let session = stand.client.run(&[option], "demo", "echo works").await;
        assert_eq!(session.unwrap().stdout, b"works\n", "{key}");
        // Whoever closes one may open one.
        drop(first);
        let again = || async {
            let ssh = stand.client.ssh(&[option, "-W", &address], "demo");
            (fed(ssh, b"hi").await.stdout == b"HI").then_some(())
        };
        eventually("a place", SOON, again).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_own_limit_counts_too() {
    let changes = Changes {
        agent: "forwards: 1\n".to_owned(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let server = Upper::start().await.unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let shared = stand.client.share("demo").await.unwrap();
    let _first = stays(&stand, &shared.option, &address).await;
    let opened = ["podgate_agent_sessions_active 1"];
    stand.agent.counts(SOON, &opened).await.unwrap();
    let told = || async {
        let output = through(&stand, "demo", &address, b"x").await;
        let said = String::from_utf8(output.stderr).unwrap();
        said.contains("the pod's node has reached its limit of forwarded connections")
            .then_some(())
    };
    eventually("the words", SOON, told).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_recorded_at_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (front, node) = (dir.path().join("frontdoor"), dir.path().join("agent"));
    let changes = Changes {
        frontdoor: format!("audit: {{to: '{}'}}\n", front.display()),
        agent: format!("audit: {{to: '{}'}}\n", node.display()),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let server = Upper::start().await.unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    assert_eq!(
        through(&stand, "demo", &address, b"hello").await.stdout,
        b"HELLO"
    );
    refused(&stand, "demo", "169.254.169.254:80").await;
    let event = async |path: &std::path::Path, kind: &str| {
        let find = || async {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut of_kind = lines.filter(|event| event["event"] == kind);
            of_kind.next()
        };
        eventually(kind, SOON, find).await.unwrap()
    };
    let start = event(&front, "start").await;
    assert_eq!(start["action"], "dial");
    assert_eq!(start["address"], address.as_str());
    assert_eq!(start["user"], "ada");
    assert_eq!(start["pod"], "demo");
    assert_eq!(start.get("tty"), None);
    let end = event(&front, "end").await;
    assert_eq!(
        (&end["outcome"], &end["session"]),
        (&"closed".into(), &start["session"])
    );
    assert_eq!(
        (&end["inputBytes"], &end["outputBytes"]),
        (&5.into(), &5.into())
    );
    let refusal = event(&front, "refusal").await;
    assert_eq!(refusal["address"], "169.254.169.254:80");
    assert_eq!(refusal["by"], "restriction");
    let grant = event(&node, "grant").await;
    assert_eq!(
        (&grant["action"], &grant["session"]),
        (&"dial".into(), &start["session"])
    );
    assert_eq!(grant["address"], address.as_str());
    let end = event(&node, "end").await;
    assert_eq!(end["outcome"], "closed");
}
