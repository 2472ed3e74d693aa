//! What happens to one forward of a connection does not matter to the others.
#![allow(
    clippy::disallowed_methods,
    reason = "the servers' tasks end with the test's runtime"
)]

use podgate_tests::real::containerd::PodSpec;
use rustix::net::sockopt::set_socket_linger;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use super::node::Node;
use super::*;

/// Gives back what it is sent. All of its connections end with the task.
fn echoes(listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut served = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            served.spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    })
}

/// Takes a byte, and resets.
fn resets(listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read_u8().await;
            set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
    })
}

/// Whether a line comes back.
async fn echoed(stream: &mut TcpStream) -> bool {
    let mut back = [0; 5];
    let both = async {
        stream.write_all(b"line\n").await?;
        stream.read_exact(&mut back).await
    };
    timeout(SOON, both).await.unwrap().is_ok() && &back == b"line\n"
}

/// Waits for the end, however it comes.
async fn ends(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut rest)).await;
    let _ = read.expect("the client's connection ends");
}

async fn undisturbed(stand: &Stand, target: &str, host: &str) {
    let listen = async || TcpListener::bind((host, 0)).await.unwrap();
    let (steady, resetting, restarted) = (listen().await, listen().await, listen().await);
    let inside = [&steady, &resetting, &restarted].map(|one| one.local_addr().unwrap());
    let _steady = echoes(steady);
    let _resetting = resets(resetting);
    let server = echoes(restarted);
    let mut ports = Vec::new();
    let mut forwards = Vec::new();
    for to in inside {
        let port = free_port().await;
        forwards.push(format!("{port}:{to}"));
        ports.push(port);
    }
    let mut options = vec!["-N", "-oExitOnForwardFailure=yes"];
    options.extend(forwards.iter().flat_map(|leads| ["-L", leads]));
    let ssh = stand.client.ssh(&options, target).spawn().unwrap();
    let connect = async |which: usize| TcpStream::connect(("127.0.0.1", ports[which])).await;
    let up = || async { connect(0).await.ok() };
    let mut stands = eventually("ssh to listen", SOON, up).await.unwrap();
    assert!(echoed(&mut stands).await, "at first");

    // Servers and clients reset.
    for _ in 0..3 {
        let mut reset = connect(1).await.unwrap();
        let _ = reset.write_all(b"x").await;
        ends(reset).await;
        let mut gone = connect(0).await.unwrap();
        assert!(echoed(&mut gone).await);
        set_socket_linger(&gone, Some(Duration::ZERO)).unwrap();
    }
    assert!(echoed(&mut stands).await, "after resets");

    // A server stops: its connections end, new ones are refused, and once it is back all is well.
    let mut first = connect(2).await.unwrap();
    assert!(echoed(&mut first).await);
    server.abort();
    let _ = server.await;
    ends(first).await;
    for _ in 0..3 {
        ends(connect(2).await.unwrap()).await;
    }
    assert!(echoed(&mut stands).await, "after refusals");
    let _again = echoes(TcpListener::bind(inside[2]).await.unwrap());
    let works = || async { echoed(&mut connect(2).await.ok()?).await.then_some(()) };
    eventually("the server to be back", SOON, works)
        .await
        .unwrap();
    assert!(echoed(&mut stands).await, "at last");
    drop(ssh);
    stand.until_quiet(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_disturbs_no_other_by_the_kubelet() {
    undisturbed(&stand("").await, "demo", "127.0.0.1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_disturbs_no_other_by_the_worker() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    undisturbed(&node.stand, "bb", &node.bridge.gateway()).await;
}
