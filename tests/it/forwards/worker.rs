//! Where the node has an entry, a worker of Podgate's own connects in the pod's network: to what the pod
//! reaches, whatever its image has.
#![allow(
    clippy::disallowed_methods,
    reason = "the servers' tasks end with the test's runtime"
)]

use std::net::SocketAddr;

use podgate_tests::real::containerd::PodSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::node::{Node, shout};
use super::*;

/// A name server for these names and their addresses of IPv4. It knows no others, and fails for some.
async fn name_server(at: SocketAddr, known: Vec<(&'static str, [u8; 4])>) -> JoinHandle<()> {
    let socket = UdpSocket::bind(at).await.unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let query = &bytes[..length];
            let (labels, kind) = query[12..].split_at(length - 16);
            let mut name = String::new();
            let mut rest = labels;
            while let [length, more @ ..] = rest
                && *length > 0
            {
                let (label, more) = more.split_at((*length).into());
                name += &format!("{}.", String::from_utf8_lossy(label));
                rest = more;
            }
            let found = known.iter().find(|(known, _)| *known == name);
            let mut answer = query.to_vec();
            let flags = match found {
                Some(_) => 0x80,
                // SERVFAIL, as of a domain whose own server is away.
                None if name.ends_with("away.test.") => 0x82,
                None => 0x83,
            };
            answer.splice(2..4, [0x81, flags]);
            if let (Some((_, address)), [0, 1, ..]) = (found, kind) {
                answer.splice(6..8, [0, 1]);
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
                answer.extend(address);
            }
            let _ = socket.send_to(&answer, from).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_reaches_what_the_pod_reaches_and_resolves_names_there() {
    let frontdoor = "forwards: {refuse: [192.0.2.0/24]}\n";
    for spec in [PodSpec::busybox("bb"), PodSpec::distroless("none")] {
        let node = Node::start(spec, frontdoor).await;
        let (_server, port) = node.upper().await;
        let gateway = node.bridge.gateway();
        let octets = gateway.parse::<std::net::Ipv4Addr>().unwrap().octets();
        let names = vec![
            ("db.svc.test.", octets),
            ("meta.svc.test.", [169, 254, 169, 254]),
            ("doc.svc.test.", [192, 0, 2, 7]),
        ];
        let server = SocketAddr::new(gateway.parse().unwrap(), 53);
        let names = name_server(server, names).await;
        let hosts = format!("127.0.0.1 localhost\n{gateway} web.test web\n169.254.169.254 cloud\n");
        std::fs::write(node.file("/etc/hosts").await, hosts).unwrap();
        let resolver = format!(
            "search away.test prod.svc.test svc.test\nnameserver {gateway}\noptions ndots:5\n"
        );
        std::fs::write(node.file("/etc/resolv.conf").await, resolver).unwrap();
        for host in [&*gateway, "web", "WEB.test", "db", "db.svc.test"] {
            node.reaches(&format!("{host}:{port}")).await;
        }
        node.reaches(&format!("[::ffff:{gateway}]:{port}")).await;
        let closed = {
            let (listener, port) = node.listener().await;
            drop(listener);
            port
        };
        let prohibited = "administratively prohibited: connections to";
        for (address, expect) in [
            (
                format!("db:{closed}"),
                "connect failed: connection refused".to_owned(),
            ),
            (
                "localhost:1".to_owned(),
                "connect failed: connection refused".to_owned(),
            ),
            (
                "nobody:80".to_owned(),
                "connect failed: nobody: temporary failure in name resolution".to_owned(),
            ),
            (
                "meta:80".to_owned(),
                format!("{prohibited} 169.254.169.254 are refused here"),
            ),
            (
                "cloud:80".to_owned(),
                format!("{prohibited} 169.254.169.254 are refused here"),
            ),
            (
                "doc:80".to_owned(),
                format!("{prohibited} 192.0.2.7 are refused here"),
            ),
        ] {
            node.refuses(&address, &expect).await;
        }
        let counts = [
            "podgate_agent_dials_total{outcome=\"direct\"} 6",
            "podgate_agent_dials_total{outcome=\"failed\"} 6",
        ];
        node.stand.agent.counts(SOON, &counts).await.unwrap();
        node.stand.until_quiet(SOON).await.unwrap();
        // The next network may have the same addresses.
        names.abort();
        let _ = names.await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_direction_of_a_forward_ends_by_itself() {
    let node = Node::start(PodSpec::busybox("bb"), "").await;
    let (_server, port) = node.upper().await;
    let address = format!("{}:{port}", node.bridge.gateway());
    let text = vec![b'a'; 3_000_000];
    let output = node.through(&address, &text).await;
    assert!(
        output.stdout == text.to_ascii_uppercase(),
        "{:?}",
        output.stderr
    );
    // The other way: the server ends first, and reads on.
    let (listener, inside) = node.listener().await;
    let port = free_port().await;
    let listen = format!("{port}:{}:{inside}", node.bridge.gateway());
    let options = ["-N", "-oExitOnForwardFailure=yes", "-L", &listen];
    let _ssh = node.stand.client.ssh(&options, "bb").spawn().unwrap();
    let up = || async { TcpStream::connect(("127.0.0.1", port)).await.ok() };
    let mut client = eventually("ssh", SOON, up).await.unwrap();
    let (mut served, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    served.write_all(b"all of it").await.unwrap();
    served.shutdown().await.unwrap();
    let mut all = Vec::new();
    let read = timeout(SOON, client.read_to_end(&mut all)).await;
    read.unwrap().unwrap();
    assert_eq!(all, b"all of it");
    client.write_all(&text).await.unwrap();
    client.shutdown().await.unwrap();
    let mut taken = Vec::new();
    let read = timeout(SOON, served.read_to_end(&mut taken)).await;
    read.unwrap().unwrap();
    assert!(taken == text, "{} bytes", taken.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_outlives_its_worker_and_the_next_has_another() {
    let node = Node::start(PodSpec::bash("deb"), "").await;
    let (_server, inside) = node.upper().await;
    let (port, leads) = (
        free_port().await,
        format!(":{}:{inside}", node.bridge.gateway()),
    );
    let listen = format!("{port}{leads}");
    let options = ["-N", "-oExitOnForwardFailure=yes", "-L", &listen];
    let _ssh = node.stand.client.ssh(&options, "deb").spawn().unwrap();
    let up = || async { ask(port, b"one").await.ok() };
    assert_eq!(eventually("ssh", SOON, up).await.unwrap(), b"ONE");
    let mut stands = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let active = ["podgate_agent_dials_total{outcome=\"direct\"} 2"];
    node.stand.agent.counts(SOON, &active).await.unwrap();
    let command = "pkill -KILL podgate-worker && echo killed";
    let killed = node.stand.client.run(&[], "deb", command).await.unwrap();
    assert_eq!(killed.stdout, b"killed\n", "{killed:?}");
    assert_eq!(ask(port, b"two").await.unwrap(), b"TWO");
    stands.write_all(b"first").await.unwrap();
    stands.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stands.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, b"FIRST");
    // Without work it goes.
    let gone = || async {
        let found = node
            .stand
            .client
            .run(&[], "deb", "pgrep podgate-worker")
            .await;
        (!found.unwrap().status.success()).then_some(())
    };
    eventually("no worker", SOON, gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_leads_to_a_unix_socket_in_the_container() {
    for (spec, target) in [
        (PodSpec::busybox("bb"), "bb"),
        (PodSpec::distroless("none"), "none"),
    ] {
        let node = Node::start(spec, "").await;
        let server = UnixListener::bind(node.file("/upper.sock").await).unwrap();
        let _server = tokio::spawn(async move {
            while let Ok((stream, _)) = server.accept().await {
                tokio::spawn(shout(stream));
            }
        });
        let local = |name: &str| node.stand.dir().join(name);
        let forward = |name: &str, path: &str| format!("{}:{path}", local(name).display());
        let ask = async |name: &str| {
            let mut stream = UnixStream::connect(local(name)).await.ok()?;
            stream.write_all(b"hi").await.ok()?;
            stream.shutdown().await.ok()?;
            let mut answer = Vec::new();
            timeout(SOON, stream.read_to_end(&mut answer))
                .await
                .unwrap()
                .ok()?;
            Some(answer)
        };
        let there = forward("there", "/upper.sock");
        let _ssh = node.stand.client.ssh(&["-N", "-L", &there], target).spawn();
        let up = || async { ask("there").await };
        assert_eq!(eventually("an answer", SOON, up).await.unwrap(), b"HI");
    }
}
