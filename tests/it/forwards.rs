//! `ssh -L`, `-W`, `-D`, `-R` and `-A` by OpenSSH's own client: connections to and from ports in the
//! pod, how they end, and who may open which.

mod agent;
mod ides;
mod limits;
mod node;
mod others;
mod pods;
mod remote;
mod rights;
mod slow;
mod sockets;
mod words;
mod worker;

use std::process::{Output, Stdio};
use std::time::Duration;

use podgate_tests::fixtures::stand::{Changes, Stand};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::instruments::upper::{Upper, ask};
use podgate_tests::real::ssh::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

/// A stand whose frontdoor has these lines more.
async fn stand(frontdoor: &str) -> Stand {
    let changes = Changes {
        frontdoor: frontdoor.to_owned(),
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

/// Gives these bytes to a command, and takes what it prints.
async fn fed(mut command: Command, text: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = async move {
        // A command that is refused reads nothing.
        let _ = stdin.write_all(text).await;
    };
    let both = async { tokio::join!(write, child.wait_with_output()).1 };
    timeout(SOON, both).await.unwrap().unwrap()
}

/// What makes ssh say why a channel is not opened.
const SAY: &str = "-oLogLevel=INFO";
/// What makes it show debug messages, as `-v` does.
const VERBOSE: &str = "-oLogLevel=DEBUG1";

/// `ssh -W` to an address in a target's pod.
async fn through(stand: &Stand, target: &str, address: &str, text: &[u8]) -> Output {
    fed(stand.client.ssh(&[SAY, "-W", address], target), text).await
}

/// What ssh says of an address that it cannot be connected to.
async fn refused(stand: &Stand, target: &str, address: &str) -> String {
    let output = through(stand, target, address, b"x").await;
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{address}"
    );
    String::from_utf8(output.stderr).unwrap()
}

/// What ssh itself says while a command runs that says nothing.
async fn said(client: &Client, options: &[&str], target: &str) -> String {
    let output = timeout(SOON, client.run(options, target, "true")).await;
    String::from_utf8(output.unwrap().unwrap().stderr).unwrap()
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

/// An `ssh -N` that listens on a port of this machine, once it does.
async fn listening(stand: &Stand, option: &str, port: u16, leads: &str) -> Child {
    let listen = format!("{port}{leads}");
    let options = ["-N", "-oExitOnForwardFailure=yes", option, &listen];
    let ssh = stand.client.ssh(&options, "demo").spawn().unwrap();
    let up = || async {
        let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        connected.ok()
    };
    eventually("ssh to listen", SOON, up).await.unwrap();
    ssh
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_both_ways_and_each_direction_ends_by_itself() {
    let stand = stand("").await;
    let server = Upper::start().await.unwrap();
    let text = vec![b'a'; 3_000_000];
    for host in ["127.0.0.1", "localhost", "LOCALHOST"] {
        let address = format!("{host}:{}", server.port());
        let output = through(&stand, "demo", &address, &text).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{host}: {said}");
        assert!(output.stdout == text.to_ascii_uppercase(), "{host}");
    }
    let (port, leads) = (free_port().await, format!(":localhost:{}", server.port()));
    let ssh = listening(&stand, "-L", port, &leads).await;
    // Many at a time, and more after them.
    for _ in 0..2 {
        let asked = (0..50).map(|n| async move {
            let text = format!("hello {n}");
            (ask(port, text.as_bytes()).await.unwrap(), text)
        });
        for (answer, text) in futures_util::future::join_all(asked).await {
            assert_eq!(answer, text.to_uppercase().into_bytes());
        }
    }
    let ended = ["podgate_frontdoor_forwards_active 0"];
    stand.frontdoor.counts(SOON, &ended).await.unwrap();
    drop(ssh);
    stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reaches_a_server_in_the_pod_by_socks() {
    let stand = stand("").await;
    let http = podgate_tests::instruments::http::Pages::start("from the pod\n")
        .await
        .unwrap();
    let port = free_port().await;
    let _ssh = listening(&stand, "-D", port, "").await;
    let proxy = format!("127.0.0.1:{port}");
    let url = format!("http://127.0.0.1:{}/", http.port());
    for _ in 0..3 {
        let curl = Command::new("curl")
            .args(["-sS", "--max-time", "60", "--socks5-hostname", &proxy, &url])
            .output();
        let output = curl.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout, b"from the pod\n", "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_connected_has_its_words() {
    let stand = stand("").await;
    let closed = format!("127.0.0.1:{}", free_port().await);
    // The kubelet confirms before it connects: a refusal may come too late to be told.
    let told = || async {
        let output = through(&stand, "demo", &closed, b"x").await;
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        said.contains("open failed: connect failed: connection refused")
            .then_some(())
    };
    eventually("the words", SOON, told).await.unwrap();
    let entry = "open failed: administratively prohibited: on the pod's node only 127.0.0.1 and localhost of the pod can be reached; other addresses and sockets need the node entry";
    for address in [
        "127.0.0.2:80",
        "[::1]:80",
        "db.prod.svc:5432",
        "10.0.0.1:22",
    ] {
        let said = refused(&stand, "demo", address).await;
        assert!(said.contains(entry), "{address}: {said}");
    }
    for (target, address, expect) in [
        (
            "demo",
            "169.254.169.254:80",
            "administratively prohibited: connections to 169.254.169.254 are refused here",
        ),
        (
            "demo",
            "[::ffff:169.254.169.254]:80",
            "administratively prohibited: connections to 169.254.169.254 are refused here",
        ),
        (
            "gone",
            "localhost:80",
            "connect failed: no pod gone in namespace default, or you may not enter it",
        ),
        (
            "help",
            "localhost:80",
            "administratively prohibited: this connection's login name is no target, so only jumps are served",
        ),
    ] {
        let said = refused(&stand, target, address).await;
        assert!(said.contains(expect), "{address}: {said}");
    }
    stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_that_breaks_off_disturbs_no_other() {
    let stand = stand("").await;
    let server = Upper::start().await.unwrap();
    // Answers a byte, and then resets.
    let resetting = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let resets = resetting.local_addr().unwrap().port();
    let serve = async {
        loop {
            let (mut stream, _) = resetting.accept().await.unwrap();
            stream.write_all(b"1").await.unwrap();
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
    };
    let shared = stand.client.share("demo").await.unwrap();
    let option = shared.option.as_str();
    let through = async |port: u16, text: &[u8]| {
        let address = format!("127.0.0.1:{port}");
        fed(stand.client.ssh(&[option, "-W", &address], "demo"), text).await
    };
    let checks = async {
        let (good, bad) = tokio::join!(through(server.port(), b"good"), through(resets, b""));
        assert_eq!(good.stdout, b"GOOD");
        assert!(bad.stdout.len() <= 1, "{bad:?}");
        assert_eq!(through(server.port(), b"after").await.stdout, b"AFTER");
    };
    tokio::select! {
        () = serve => {}
        () = checks => {}
    }
}
