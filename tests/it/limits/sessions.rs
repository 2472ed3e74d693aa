//! Running things: channels of a connection, sessions of a user and of all, and idle sessions.

use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::client::Login;
use podgate_tests::real::ssh::Client;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{SOON, begin, echo, end, refusal, refused, stand, works};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_in_one_connection() {
    let stand = stand("").await;
    let shared = stand.client.share("demo").await.unwrap();
    let options = [shared.option.as_str()];
    let mut all: Vec<_> = (1..=50)
        .map(|status| begin(&stand.client, &options, status))
        .collect();
    for round in ["first", "second"] {
        for (number, echo) in all.iter_mut().enumerate() {
            echo.says(&format!("{round} {number}")).await.unwrap();
        }
        // All of them live now, in one connection.
        let counts = [
            "podgate_frontdoor_sessions_active 50",
            "podgate_frontdoor_connections 1",
        ];
        stand.frontdoor.counts(SOON, &counts).await.unwrap();
    }
    // In another order than they began.
    for (number, echo) in all.into_iter().enumerate().rev() {
        assert_eq!(end(echo).await, Some(number as i32 + 1));
    }
    let ended = ["podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"exited\"} 50"];
    stand.frontdoor.counts(SOON, &ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_a_user_and_of_all() {
    let stand = stand("connectionsPerUser: 2, connections: 3").await;
    let bob = stand.add_user("bob").await.unwrap();
    let own = "you have reached the limit of connections per user; close one, then try again";
    let all = "this frontdoor has reached its limit of connections; try again later";
    let first = echo(&stand.client, &[]).await;
    let mut second = echo(&stand.client, &[]).await;
    let told = async |client: &Client, why: &str| {
        let output = client.run(&[], "demo", "echo ran").await.unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && text.contains(why), "{text}");
        assert_eq!(output.status.code(), Some(255), "{text}");
    };
    told(&stand.client, own).await;
    let third = echo(&bob, &[]).await;
    told(&bob, all).await;
    for limit in ["connectionsPerUser", "connections"] {
        let counted = refused(limit, 1);
        stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();
    }
    // Nobody else notices, and a session that ends makes room.
    second.says("still").await.unwrap();
    for echo in [first, third] {
        assert_eq!(end(echo).await, Some(7));
    }
    let one = ["podgate_frontdoor_connections 1"];
    stand.frontdoor.counts(SOON, &one).await.unwrap();
    works(&stand.client, &[]).await;
    works(&bob, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_told_so_once_and_ends() {
    let stand = stand("connectionsPerUser: 1").await;
    let mut standing = echo(&stand.client, &[]).await;
    let login = Login::to(&stand, "demo").unwrap();
    // A client that opens a channel now and then, and asks for nothing on it.
    let idle = login.connect().await.unwrap();
    let first = idle.channel().await.unwrap();
    let opens = async {
        while idle.channel().await.is_err() && !idle.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, opens).await.expect("it stands");
    assert!(idle.is_closed(), "a second channel opened");
    drop(first);
    let told = login.connect().await.unwrap();
    let (said, status) = told.exec("echo ran").await.unwrap().wait().await.unwrap();
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("the limit of connections per user"), "{said}");
    assert_eq!(status, 255);
    assert!(told.exec("echo ran").await.is_err());
    let counted = refused("connectionsPerUser", 2);
    stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();
    standing.says("still").await.unwrap();
    // Both have gone.
    let one = ["podgate_frontdoor_connections 1"];
    stand.frontdoor.counts(SOON, &one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_so_many_sessions() {
    let changes = Changes {
        agent: "sessions: 1\n".into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let first = echo(&stand.client, &[]).await;
    let output = stand.client.run(&[], "demo", "echo ran").await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let line = "podgate: the pod's node has reached its limit of sessions; try again later\r\n";
    assert_eq!((text.as_str(), output.status.code()), (line, Some(255)));
    assert_eq!(end(first).await, Some(7));
    let none = ["podgate_agent_sessions_active 0"];
    stand.agent.counts(SOON, &none).await.unwrap();
    works(&stand.client, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_a_share_of_a_nodes_sessions() {
    let changes = Changes {
        agent: "sessionsPerUser: 1\n".into(),
        ..Changes::default()
    };
    let stand = Stand::embedded(changes).await.unwrap();
    let bob = stand.add_user("bob").await.unwrap();
    let first = echo(&stand.client, &[]).await;
    // The same through another frontdoor, which counts for itself.
    let (_second, client) = stand.another_frontdoor().await.unwrap();
    for client in [&stand.client, &client] {
        let line = "podgate: you have reached the limit of sessions per user on the pod's node; end one, then try again\r\n";
        assert_eq!(refusal(client).await, line);
    }
    works(&bob, &[]).await;
    let counts = ["podgate_agent_refused_total{limit=\"sessionsPerUser\"} 2"];
    stand.agent.counts(SOON, &counts).await.unwrap();
    assert_eq!(end(first).await, Some(7));
    let none = ["podgate_agent_sessions_active 0"];
    stand.agent.counts(SOON, &none).await.unwrap();
    works(&stand.client, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_channels() {
    let stand = stand("channelsPerConnection: 2").await;
    let shared = stand.client.share("demo").await.unwrap();
    let options = [shared.option.as_str()];
    let first = echo(&stand.client, &options).await;
    let mut second = echo(&stand.client, &options).await;
    // If it is refused, ssh would make a connection of its own.
    let alone = [shared.option.as_str(), "-oProxyCommand=false"];
    let output = stand.client.run(&alone, "demo", "true").await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(255), "{text}");
    assert!(text.contains("Session open refused by peer"), "{text}");
    let counted = refused("channelsPerConnection", 1);
    stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();

    second.says("still").await.unwrap();
    works(&stand.client, &[]).await;
    assert_eq!(end(first).await, Some(7));
    for _ in 0..3 {
        works(&stand.client, &alone).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_sessions() {
    let stand = stand("sessionsPerUser: 2").await;
    let grace = stand.add_user("grace").await.unwrap();
    // Over connections of their own or a shared one: the user is what counts.
    let shared = stand.client.share("demo").await.unwrap();
    let first = echo(&stand.client, &[&shared.option]).await;
    let mut second = echo(&stand.client, &[]).await;
    let line = refusal(&stand.client).await;
    assert_eq!(
        line,
        "podgate: you have reached the limit of sessions per user; end one, then try again\r\n"
    );
    second.says("still").await.unwrap();
    works(&grace, &[]).await;
    let counts = [
        &refused("sessionsPerUser", 1),
        "podgate_frontdoor_sessions_active 2",
    ];
    stand.frontdoor.counts(SOON, &counts).await.unwrap();
    assert_eq!(end(first).await, Some(7));
    for _ in 0..3 {
        works(&stand.client, &[]).await;
    }
    // However a session ends, its slot is free again.
    let client = Pid::from_raw(second.pid().unwrap() as i32).unwrap();
    kill_process(client, Signal::KILL).unwrap();
    until_active(&stand, 0).await;
    let _first = echo(&stand.client, &[]).await;
    let _second = echo(&stand.client, &[]).await;
    refusal(&stand.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_users_together_have_so_many_sessions() {
    let stand = stand("sessions: 2").await;
    let grace = stand.add_user("grace").await.unwrap();
    let mut first = echo(&stand.client, &[]).await;
    let second = echo(&grace, &[]).await;
    let line = "podgate: this frontdoor has reached its limit of sessions; try again later\r\n";
    assert_eq!(refusal(&stand.client).await, line);
    assert_eq!(refusal(&grace).await, line);
    first.says("still").await.unwrap();
    let counted = refused("sessions", 2);
    stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();
    assert_eq!(end(second).await, Some(7));
    works(&stand.client, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_byte_is_ended() {
    // Keepalives go on meanwhile, and do not count as a session's bytes.
    let stand = stand("idleSeconds: 3, keepaliveSeconds: 1").await;
    // Of the three, the silent one begins last and ends first.
    let mut ssh = stand.client.ssh(&[], "demo");
    let mut said = ssh
        .arg("for i in $(seq 1000); do echo; sleep 0.2; done")
        .spawn()
        .unwrap();
    let mut ssh = stand.client.ssh(&[], "demo");
    let mut heard = ssh
        .arg("cat >/dev/null; exit 4")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let silent = echo(&stand.client, &[]).await;
    let mut stdin = heard.stdin.take().unwrap();
    let mut typing = tokio::time::interval(Duration::from_millis(200));
    let (text, status) = {
        let over = timeout(SOON, silent.ended());
        tokio::pin!(over);
        loop {
            tokio::select! {
                over = &mut over => break over.expect("it does not end").unwrap(),
                _ = typing.tick() => stdin.write_all(b"x").await.unwrap(),
            }
        }
    };
    assert_eq!(
        text,
        "podgate: this session was idle for 3 s and is ended\r\n"
    );
    assert_eq!(status, Some(255));
    let counts = [
        &refused("idleSeconds", 1),
        "podgate_frontdoor_sessions_total{action=\"exec\",outcome=\"idle\"} 1",
        "podgate_frontdoor_sessions_active 2",
    ];
    stand.frontdoor.counts(SOON, &counts).await.unwrap();
    assert!(said.try_wait().unwrap().is_none());
    drop(stdin);
    assert_eq!(heard.wait().await.unwrap().code(), Some(4));
    // The program in the container ended with its session.
    let embedded = stand.embedded.as_ref().unwrap();
    timeout(SOON, embedded.until_running(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_sign_of_life_is_lost() {
    let stand = stand("keepaliveSeconds: 1, keepalives: 1").await;
    let mut standing = echo(&stand.client, &[]).await;
    let frozen = echo(&stand.client, &[]).await;
    let client = Pid::from_raw(frozen.pid().unwrap() as i32).unwrap();
    kill_process(client, Signal::STOP).unwrap();
    let counted = refused("keepalives", 1);
    stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();
    until_active(&stand, 1).await;
    standing.says("still").await.unwrap();
}

async fn until_active(stand: &Stand, count: usize) {
    let active = format!("podgate_frontdoor_sessions_active {count}");
    stand.frontdoor.counts(SOON, &[&active]).await.unwrap();
}
