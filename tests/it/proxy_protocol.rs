//! A load balancer names the client of each connection: keys, limits and the log see the client's own
//! address, and only a load balancer can name one.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::ssh::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
const FROM: &str = "proxyProtocol: {from: [127.0.0.0/8]}\n";

async fn stand(frontdoor: &str) -> Stand {
    let changes = Changes {
        frontdoor: frontdoor.to_owned(),
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

/// A balancer in front of a stand; it ends on drop.
struct Balancer {
    port: u16,
    _task: JoinSet<()>,
}

impl Balancer {
    /// It begins each connection with these bytes.
    async fn new(stand: &Stand, header: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (header, to) = (header.to_vec(), stand.frontdoor.port());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let header = header.clone();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    server.write_all(&header).await.unwrap();
                    // If either end closes, the copy ends.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, _task: task }
    }

    /// A client through it, with the stand's own key.
    fn client(&self, stand: &Stand) -> Client {
        let known = stand.dir().join("known_hosts");
        let host = std::fs::read_to_string(stand.dir().join("host.pub")).unwrap();
        let all = std::fs::read_to_string(&known).unwrap();
        std::fs::write(&known, format!("{all}[127.0.0.1]:{} {host}", self.port)).unwrap();
        Client::new(stand.dir(), self.port)
    }
}

/// Version 2, of a client with this address.
fn version_2(client: [u8; 4]) -> Vec<u8> {
    let [a, b, c, d] = client;
    let addresses = [a, b, c, d, 10, 0, 0, 1, 0xc0, 1, 0, 22];
    // After the addresses come fields that a receiver need not know.
    let more = [0x04, 0, 2, 1, 2];
    let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11";
    [&fixed[..], &addresses, &more].concat()
}

async fn works(client: &Client) {
    let output = client.run(&[], "demo", "echo works").await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"works\n", "{text}");
}

/// The frontdoor's line of a login from there.
async fn logged_in(stand: &Stand, peer: &str) {
    let wanted = |line: &serde_json::Value| {
        let own = line["peer"].as_str().unwrap_or_default();
        line["message"] == "login" && own.starts_with(peer)
    };
    let found = stand.frontdoor.wait_log(SOON, wanted).await;
    assert!(
        found.is_ok(),
        "{peer}:\n{}",
        stand.frontdoor.log().join("\n")
    );
}

fn refused(limit: &str, count: usize) -> String {
    format!("podgate_frontdoor_refused_total{{limit=\"{limit}\"}} {count}")
}

/// Sends these bytes, and returns when the frontdoor has closed the connection; gives what it said.
async fn closed(stand: &Stand, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", stand.frontdoor.port()))
        .await
        .unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut heard)).await;
    match read.expect("it is not closed") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_own_address_is_what_counts() {
    let stand = stand(FROM).await;
    let key = std::fs::read_to_string(stand.dir().join("id.pub")).unwrap();
    let users = format!(
        "- {{name: ada, groups: [dev], keys: ['from=\"192.0.2.0/24,2001:db8::/32\" {}']}}\n",
        key.trim()
    );
    std::fs::write(stand.dir().join("users.yaml"), users).unwrap();
    for (header, peer) in [
        (
            &b"PROXY TCP4 192.0.2.7 10.0.0.1 49153 22\r\n"[..],
            "192.0.2.7:49153",
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 49153 22\r\n",
            "[2001:db8::7]:49153",
        ),
        (&version_2([192, 0, 2, 8]), "192.0.2.8:49153"),
    ] {
        let balancer = Balancer::new(&stand, header).await;
        works(&balancer.client(&stand)).await;
        logged_in(&stand, peer).await;
    }
    // Another's address, and the balancer's own if the header names no client.
    for header in [
        &b"PROXY TCP4 198.51.100.7 10.0.0.1 49153 22\r\n"[..],
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    ] {
        let balancer = Balancer::new(&stand, header).await;
        let client = balancer.client(&stand);
        let output = client.run(&[], "demo", "echo ran").await.unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("Permission denied (publickey)"), "{text}");
    }
    let own = |line: &serde_json::Value| {
        let peer = line["peer"].as_str().unwrap_or_default();
        line["message"] == "connection ended without a login" && peer.starts_with("127.0.0.1:")
    };
    stand.frontdoor.wait_log(SOON, own).await.unwrap();
    stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_bounded_by_the_clients_address_and_not_the_balancers() {
    let stand = stand(&format!("{FROM}limits: {{startsPerAddress: 1}}\n")).await;
    let mut waiting = Vec::new();
    for last in 1..=3 {
        let balancer = Balancer::new(&stand, &version_2([192, 0, 2, last])).await;
        let mut client = TcpStream::connect(("127.0.0.1", balancer.port))
            .await
            .unwrap();
        let mut word = [0; 7];
        timeout(SOON, client.read_exact(&mut word))
            .await
            .expect("no SSH")
            .unwrap();
        assert_eq!(&word, b"SSH-2.0");
        waiting.push((balancer, client));
    }
    // One more connection from an address that is already logging in.
    let line = closed(&stand, &version_2([192, 0, 2, 3])).await;
    let line = String::from_utf8_lossy(&line).into_owned();
    assert!(
        line.starts_with("podgate: too many connections from your address"),
        "{line}"
    );
    stand
        .frontdoor
        .counts(SOON, &[&refused("startsPerAddress", 1)])
        .await
        .unwrap();
    drop(waiting);
    stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_that_says_nothing_or_nonsense_is_closed() {
    let stand = stand(&format!("{FROM}limits: {{loginGraceSeconds: 2}}\n")).await;
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"PROXY TCP4 here there 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        &[b'P'; 64],
    ] {
        assert_eq!(closed(&stand, bytes).await, b"", "{bytes:?}");
    }
    stand
        .frontdoor
        .counts(SOON, &[&refused("proxyProtocol", 4)])
        .await
        .unwrap();
    // No header, and one that does not end, for as long as a login may take.
    assert_eq!(closed(&stand, b"").await, b"");
    assert_eq!(closed(&stand, b"PROXY TCP4 192.0.2.7").await, b"");
    stand
        .frontdoor
        .counts(SOON, &[&refused("loginGraceSeconds", 2)])
        .await
        .unwrap();
    // A health check of the balancer is no client.
    drop(
        TcpStream::connect(("127.0.0.1", stand.frontdoor.port()))
            .await
            .unwrap(),
    );
    let quiet = || async { stand.until_quiet(SOON).await.ok() };
    eventually("quiet", SOON, quiet).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_say_who_they_are() {
    let stand = stand("proxyProtocol: {from: [192.0.2.0/24]}\n").await;
    works(&stand.client).await;
    logged_in(&stand, "127.0.0.1:").await;
    let balancer = Balancer::new(&stand, &version_2([192, 0, 2, 8])).await;
    let client = balancer.client(&stand);
    let mut ssh = client.ssh(&[], "demo");
    let output = timeout(SOON, ssh.arg("echo ran").stdin(Stdio::null()).output());
    let output = output.await.expect("it is let be").unwrap();
    assert_eq!(output.status.code(), Some(255));
    assert!(output.stdout.is_empty());
    stand.until_quiet(SOON).await.unwrap();
}
