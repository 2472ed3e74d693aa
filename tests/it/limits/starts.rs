//! Connections that have not logged in are refused before they cost a key exchange, by address and in
//! total.

use std::net::SocketAddr;

use podgate_tests::fixtures::stand::Stand;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{SOON, echo, end, refused, stand, works};

/// Connects from an address of this machine, and says nothing.
async fn connect(stand: &Stand, from: &str) -> BufReader<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], stand.frontdoor.port()));
    BufReader::new(socket.connect(to).await.unwrap())
}

/// What a frontdoor says first.
async fn first_line(connection: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    let read = connection.read_line(&mut line);
    timeout(SOON, read).await.expect("it says nothing").unwrap();
    line
}

/// Connects, and waits until it is served.
async fn hold(stand: &Stand, from: &str) -> BufReader<TcpStream> {
    let mut connection = connect(stand, from).await;
    let line = first_line(&mut connection).await;
    assert!(line.starts_with("SSH-2.0-OpenSSH_Podgate_"), "{line:?}");
    connection
}

/// Connects and is refused. Returns everything that it is told.
async fn refusal(stand: &Stand, from: &str) -> String {
    let mut all = String::new();
    let mut connection = connect(stand, from).await;
    let read = connection.read_to_string(&mut all);
    timeout(SOON, read)
        .await
        .expect("it is not closed")
        .unwrap();
    all
}

/// Ends a connection, and waits until the frontdoor knows.
async fn let_go(stand: &Stand, connection: BufReader<TcpStream>) {
    let peer = connection.get_ref().local_addr().unwrap().to_string();
    drop(connection);
    let gone = |line: &serde_json::Value| {
        line["message"] == "connection ended without a login" && line["peer"] == peer.as_str()
    };
    stand.frontdoor.wait_log(SOON, gone).await.unwrap();
}

const FROM_THIS_ADDRESS: &str =
    "podgate: too many connections from your address are logging in; try again in a moment\r\n";
const FROM_ALL: &str = "podgate: too many connections are logging in; try again in a moment\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_and_others_do_not_notice() {
    let stand = stand("startsPerAddress: 2").await;
    let mut standing = echo(&stand.client, &[]).await;
    let first = hold(&stand, "127.0.0.1").await;
    let _second = hold(&stand, "127.0.0.1").await;
    assert_eq!(refusal(&stand, "127.0.0.1").await, FROM_THIS_ADDRESS);
    let output = stand.client.run(&[], "demo", "true").await.unwrap();
    assert_eq!(output.status.code(), Some(255));
    let counted = refused("startsPerAddress", 2);
    stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();

    standing.says("still").await.unwrap();
    works(&stand.client, &["-oBindAddress=127.0.0.2"]).await;
    let_go(&stand, first).await;
    // As often as one likes: a login gives the slot back.
    for _ in 0..3 {
        works(&stand.client, &[]).await;
    }
    assert_eq!(end(standing).await, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_addresses_together_have_so_many() {
    let stand = stand("startsPerAddress: 2, starts: 3").await;
    let mut standing = echo(&stand.client, &[]).await;
    let first = hold(&stand, "127.0.0.1").await;
    let _second = hold(&stand, "127.0.0.1").await;
    let _third = hold(&stand, "127.0.0.2").await;
    assert_eq!(refusal(&stand, "127.0.0.3").await, FROM_ALL);
    standing.says("still").await.unwrap();
    let counted = refused("starts", 1);
    stand.frontdoor.counts(SOON, &[&counted]).await.unwrap();
    let_go(&stand, first).await;
    works(&stand.client, &["-oBindAddress=127.0.0.3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_500_from_one_address_is_served_by_default() {
    // Started with as few descriptors as service managers give.
    let ours = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(1024),
        ..ours
    };
    setrlimit(Resource::Nofile, few).unwrap();
    let stand = stand("").await;
    setrlimit(Resource::Nofile, ours).unwrap();
    let mut burst = Vec::new();
    for _ in 0..500 {
        burst.push(connect(&stand, "127.0.0.1").await);
    }
    for connection in &mut burst {
        let line = first_line(connection).await;
        assert!(line.starts_with("SSH-2.0-OpenSSH_Podgate_"), "{line:?}");
    }
    works(&stand.client, &[]).await;
    let stand_now = ["podgate_frontdoor_connections 500"];
    stand.frontdoor.counts(SOON, &stand_now).await.unwrap();
    drop(burst);
    let none = ["podgate_frontdoor_connections 0"];
    stand.frontdoor.counts(SOON, &none).await.unwrap();
}
