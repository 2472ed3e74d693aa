//! What IDEs ask of one connection, in the order in which they do, by OpenSSH's own client.

use podgate_tests::real::containerd::PodSpec;

use super::*;

/// A page of a server in the pod, by a SOCKS proxy.
async fn page(proxy: u16, inside: u16) -> Option<Vec<u8>> {
    let curl = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--socks5-hostname"])
        .arg(format!("127.0.0.1:{proxy}"))
        .arg(format!("http://127.0.0.1:{inside}/version"))
        .output();
    let output = curl.await.unwrap();
    output.status.success().then_some(output.stdout)
}

/// VS Code Remote-SSH: `ssh -T -D PORT` without a command. A script on stdin starts a server in the
/// background, and says where it listens; the window talks to it through the proxy. If the client is
/// killed, a new connection finds the server.
#[tokio::test(flavor = "multi_thread")]
async fn vs_codes_server_outlives_its_client() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let pod = PodSpec::busybox("code").own_network();
    let _pod = stand.run_pod(pod).await.unwrap();
    let (proxy, inside) = (free_port().await, free_port().await);
    let script = format!(
        "id=abc123\necho \"$id: running\"\nmkdir -p /tmp/server && echo 1.96.2 >/tmp/server/version\n\
         httpd -f -p 127.0.0.1:{inside} -h /tmp/server >/tmp/log 2>&1 </dev/null &\n\
         echo $! >/tmp/pid\necho \"listeningOn=={inside}==\"\necho \"$id: end\"\n\
         while true; do sleep 180; printf ' '; done\n"
    );
    for script in [script.as_str(), "echo \"abc123: end\"\nexec cat\n"] {
        let listen = proxy.to_string();
        let options = ["-T", "-oExitOnForwardFailure=yes", "-D", &listen];
        let mut ssh = stand.client.ssh(&options, "code");
        let mut ssh = ssh.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = ssh.stdin.take().unwrap();
        stdin.write_all(script.as_bytes()).await.unwrap();
        let serves = || page(proxy, inside);
        let version = eventually("the server", SOON, serves).await.unwrap();
        assert_eq!(version, b"1.96.2\n");
        // Several connections of a window at a time.
        let pages = (0..8).map(|_| page(proxy, inside));
        let pages = futures_util::future::join_all(pages).await;
        assert!(
            pages
                .iter()
                .all(|page| page.as_deref() == Some(b"1.96.2\n"))
        );
        ssh.kill().await.unwrap();
        stand.until_quiet(SOON).await.unwrap();
    }
    let alive = "kill -0 $(cat /tmp/pid) && kill $(cat /tmp/pid) && echo alive";
    let output = stand.client.run(&[], "code", alive).await.unwrap();
    assert_eq!(output.stdout, b"alive\n", "{output:?}");
}

/// JetBrains: hundreds of commands and one forward, all on one connection.
#[tokio::test(flavor = "multi_thread")]
async fn jetbrains_runs_hundreds_of_commands_beside_one_forward() {
    let stand = stand("").await;
    let server = Upper::start().await.unwrap();
    let shared = stand.client.share("demo").await.unwrap();
    let option = shared.option.as_str();
    let address = format!("127.0.0.1:{}", server.port());
    let mut forward = stand.client.ssh(&[option, "-W", &address], "demo");
    let mut forward = forward.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = forward.stdin.take().unwrap();
    stdin.write_all(b"all the while").await.unwrap();
    let active = ["podgate_frontdoor_forwards_active 1"];
    stand.frontdoor.counts(SOON, &active).await.unwrap();
    for round in 0..25 {
        let client = &stand.client;
        let runs = (0..8).map(|number| async move {
            let command = format!("echo {round} {number}");
            let output = client.run(&[option], "demo", &command).await.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let expect = format!("{round} {number}\n");
            assert_eq!(output.stdout, expect.as_bytes(), "{said}");
        });
        futures_util::future::join_all(runs).await;
    }
    drop(stdin);
    let output = timeout(SOON, forward.wait_with_output()).await.unwrap();
    assert_eq!(output.unwrap().stdout, b"ALL THE WHILE");
}
