//! What strangers can ask for before a login: no expensive key exchange, no long packet, no more than a
//! number of bytes, and no place that others need.

use podgate_tests::fixtures::stand::Stand;
use podgate_tests::instruments::client::Login;
use podgate_tests::instruments::echo::Echo;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::threads;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{SOON, echo, refused, stand, works};

/// Connects from an address of this machine.
async fn connect(stand: &Stand, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let to = ([127, 0, 0, 1], stand.frontdoor.port()).into();
    socket.connect(to).await.unwrap()
}

/// Reads until the frontdoor closes.
async fn rest(mut connection: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // It may be reset, if it was still sending.
    let _ = timeout(SOON, connection.read_to_end(&mut all))
        .await
        .expect("it stays open");
    all
}

/// A packet before encryption (RFC 4253 §6).
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 9) % 8) % 8;
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_exchange_over_a_finite_field_and_those_of_old_clients() {
    let stand = stand("").await;
    for kex in [
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
    ] {
        let option = format!("-oKexAlgorithms={kex}");
        let output = stand
            .client
            .run(&[&option, "-oLogLevel=INFO"], "demo", "true")
            .await
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("no matching key exchange method"), "{text}");
    }
    for curve in [256, 384, 521] {
        let option = format!("-oKexAlgorithms=ecdh-sha2-nistp{curve}");
        works(&stand.client, &[&option]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_exchanges_have_threads_of_a_lower_priority() {
    let stand = stand("").await;
    let login = Login::to(&stand, "demo").unwrap();
    let _exchanged = login.greet().await.unwrap();
    let nice = threads::nice(stand.frontdoor.pid().unwrap(), "key-exchange").unwrap();
    assert!(
        !nice.is_empty() && nice.iter().all(|nice| *nice >= 5),
        "{nice:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_packets_are_short_and_few() {
    let stand = stand("").await;
    let mut standing = echo(&stand.client, &[]).await;
    let mut long = connect(&stand, "127.0.0.1").await;
    long.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    long.write_all(&9000_u32.to_be_bytes()).await.unwrap();
    rest(long).await;
    let mut many = connect(&stand, "127.0.0.1").await;
    many.write_all(b"SSH-2.0-x\r\n").await.unwrap();
    // SSH_MSG_IGNORE, which has no effect.
    let ignored = packet(&[vec![2], 7000_u32.to_be_bytes().to_vec(), vec![0; 7000]].concat());
    for _ in 0..40 {
        // Once it is cut off this fails.
        let _ = many.write_all(&ignored).await;
    }
    rest(many).await;
    let counts = [&*refused("loginPacketBytes", 1), &*refused("loginBytes", 1)];
    stand.frontdoor.counts(SOON, &counts).await.unwrap();
    standing.says("still").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_speak_ssh_is_told_so() {
    let stand = stand("").await;
    let mut http = connect(&stand, "127.0.0.1").await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n",
        "x".repeat(3000)
    );
    http.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(rest(http).await).unwrap();
    let said = answer.lines().nth(1);
    assert_eq!(said, Some("Invalid SSH identification string."), "{answer}");
    // Its sender waits.
    let mut probe = connect(&stand, "127.0.0.1").await;
    probe.write_all(b"\n").await.unwrap();
    let answer = String::from_utf8(rest(probe).await).unwrap();
    assert_eq!(answer.lines().nth(1), said, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_addresses_do_not_keep_others_out() {
    let limits = "startsPerAddress: 10, starts: 30, startsDropFrom: 10, startsDropPercent: 1";
    let stand = stand(limits).await;
    let mut held = Vec::new();
    for address in 2..=5 {
        for _ in 0..10 {
            held.push(connect(&stand, &format!("127.0.0.{address}")).await);
        }
    }
    // Some of its attempts are refused at random.
    let gets_in = || async {
        let output = stand.client.run(&[], "demo", "true").await.ok()?;
        output.status.success().then_some(())
    };
    eventually("a login", SOON, gets_in).await.unwrap();
    let early = |line: &serde_json::Value| {
        line["message"] == "refused" && line["limit"] == "startsPerAddress"
    };
    stand.frontdoor.wait_log(SOON, early).await.unwrap();
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_log_in_gets_shorter_as_places_run_out() {
    let limits = "loginGraceSeconds: 600, leastLoginGraceSeconds: 1, starts: 4, startsPerAddress: 4, \
                  startsDropFrom: 3, startsDropPercent: 1";
    let stand = stand(limits).await;
    let mut held = Vec::new();
    for address in 2..=4 {
        held.push(connect(&stand, &format!("127.0.0.{address}")).await);
    }
    let waiting = ["podgate_frontdoor_connections 3"];
    stand.frontdoor.counts(SOON, &waiting).await.unwrap();
    // The fourth may be refused at random. Once it has its place, none is left, and clients have a
    // second to log in.
    let fourth = || async {
        let mut connection = connect(&stand, "127.0.0.5").await;
        let mut first = [0; 3];
        connection.read_exact(&mut first).await.ok()?;
        (&first == b"SSH").then_some(connection)
    };
    held.push(eventually("a place", SOON, fourth).await.unwrap());
    let over = |line: &serde_json::Value| {
        line["message"] == "refused" && line["limit"] == "loginGraceSeconds"
    };
    stand.frontdoor.wait_log(SOON, over).await.unwrap();
}

/// The memory before a login that the docs and the example configuration promise.
const PROMISED: u64 = 96 * 1024;
/// The largest packet that is taken before a login.
const PACKET: u64 = 35_000;

/// Waits until each of this many connections takes more than `least` bytes of the frontdoor's memory,
/// and returns how many bytes each takes.
async fn memory(stand: &Stand, before: u64, connections: usize, least: u64) -> u64 {
    let standing = format!("podgate_frontdoor_connections {connections}");
    stand.frontdoor.counts(SOON, &[&standing]).await.unwrap();
    let each = || async {
        let grown = stand.frontdoor.resident().ok()?.saturating_sub(before);
        let each = grown / connections as u64;
        (each > least).then_some(each)
    };
    eventually("all to be read", SOON, each).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_connections_that_do_not_log_in() {
    const CONNECTIONS: usize = 200;
    let stand = stand("").await;
    works(&stand.client, &[]).await;
    let before = stand.frontdoor.resident().unwrap();
    // All but the end of the largest packet that is not encrypted.
    let mut most = b"SSH-2.0-x\r\n".to_vec();
    most.extend_from_slice(&8000_u32.to_be_bytes());
    most.resize(7900, 1);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = connect(&stand, "127.0.0.1").await;
        connection.write_all(&most).await.unwrap();
        held.push(connection);
    }
    let each = memory(&stand, before, CONNECTIONS, 7900).await;
    assert!(each < PROMISED, "{each} bytes each");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_connections_that_have_exchanged_keys() {
    const CONNECTIONS: usize = 200;
    let stand = stand("").await;
    works(&stand.client, &[]).await;
    let before = stand.frontdoor.resident().unwrap();
    let login = Login::to(&stand, "demo").unwrap();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(login.greet().await.unwrap());
    }
    let each = memory(&stand, before, CONNECTIONS, 1000).await;
    // One more packet may come on top of that.
    assert!(each + PACKET < PROMISED, "{each} bytes each");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_exchanges_again_are_so_many_a_minute() {
    let stand = stand("rekeysPerMinute: 10").await;
    // Two of these lines exceed what one key may encrypt, so each line is preceded by an exchange.
    let mut ssh = stand.client.ssh(&["-oRekeyLimit=16"], "demo");
    ssh.arg("cat");
    let mut often = Echo::spawn(ssh).unwrap();
    let many = async {
        for number in 0.. {
            if often.says(&format!("line {number}")).await.is_err() {
                return number;
            }
        }
        0
    };
    let waits = async {
        let waited = || async {
            let (_, metrics) = stand.frontdoor.admin("/metrics").await.ok()?;
            let of = "podgate_frontdoor_refused_total{limit=\"rekeysPerMinute\"}";
            metrics.contains(of).then_some(())
        };
        eventually("a wait", SOON, waited).await.unwrap();
    };
    tokio::select! {
        ended = many => panic!("it ended after {ended} lines"),
        () = waits => {}
    }
    // Nobody else notices.
    works(&stand.client, &[]).await;
}
