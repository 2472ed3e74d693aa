//! Forwards into real pods, whose network is not this machine's.

use podgate_tests::real::containerd::PodSpec;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_pods_own_loopback() {
    let stand = Stand::containerd(Changes::default()).await.unwrap();
    let pod = stand
        .run_pod(PodSpec::busybox("web").own_network())
        .await
        .unwrap();
    let inside = free_port().await;
    let start = format!(
        "echo from the pod >/tmp/index.html; \
         httpd -f -p 127.0.0.1:{inside} -h /tmp </dev/null >/dev/null 2>&1 &"
    );
    let started = stand.client.run(&[], &pod.name, &start).await.unwrap();
    assert!(started.status.success(), "{started:?}");
    // Nobody listens there on this machine.
    assert!(ask(inside, b"").await.is_err());
    let port = free_port().await;
    let listen = format!("{port}");
    let options = ["-N", "-oExitOnForwardFailure=yes", "-D", &listen];
    let _ssh = stand.client.ssh(&options, &pod.name).spawn().unwrap();
    let proxy = format!("127.0.0.1:{port}");
    let get = || async {
        let curl = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--socks5-hostname", &proxy])
            .arg(format!("http://localhost:{inside}/index.html"))
            .output();
        (curl.await.unwrap().stdout == b"from the pod\n").then_some(())
    };
    eventually("the page", SOON, get).await.unwrap();
    let request = b"GET /index.html HTTP/1.0\r\n\r\n";
    let address = format!("127.0.0.1:{inside}");
    let output = through(&stand, &pod.name, &address, request).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.ends_with("\r\n\r\nfrom the pod\n"),
        "{text} {output:?}"
    );
    // containerd ends the whole connection then, at times before it has said why.
    let closed = format!("127.0.0.1:{}", free_port().await);
    let output = through(&stand, &pod.name, &closed, b"x").await;
    assert!(output.stdout.is_empty(), "{output:?}");
    let output = through(&stand, &pod.name, &address, request).await;
    assert!(output.stdout.ends_with(b"from the pod\n"), "{output:?}");
}
