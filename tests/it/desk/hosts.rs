//! The desk tells the CA of host certificates, and `kubectl podgate config` writes its line.

use std::path::Path;

use podgate_tests::instruments::eventually::eventually;
use tokio::process::Command;

use super::{Desk, SOON};

const HOSTS: &str =
    "hosts: {ca: {secret: {namespace: podgate, name: podgate-host-ca}}, names: [a.example]}\n";

async fn get(desk: &Desk) -> (String, String) {
    let output = Command::new("curl")
        .args(["-s", "-m", "30", "-w", "\n%{http_code}", "--cacert"])
        .arg(desk.path("ca.crt"))
        .arg(format!("{}/v1/host-ca", desk.url))
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

/// What `kubectl podgate config` prints, and what it says on stderr.
async fn config(desk: &Desk) -> (String, String) {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("sh")
        .arg(plugin.join("../charts/podgate/kubectl-podgate"))
        .args(["config", "--host", "a.example", "--port", "2222"])
        .args(["--desk", &desk.url, "--ca"])
        .arg(desk.path("ca.crt"))
        .env("HOME", desk.path(""))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_tells_the_ca_of_hosts() {
    let (desk, api) = Desk::alone(HOSTS).await;
    // Until there is one, the desk says so.
    assert_eq!(get(&desk).await.0, "503");
    let (printed, said) = config(&desk).await;
    assert!(!printed.contains("@cert-authority"), "{printed}");
    assert!(said.contains("gives no CA of host certificates"), "{said}");
    api.add_object("secrets", "podgate", "podgate-host-ca");
    let told = || async {
        let (status, body) = get(&desk).await;
        (status == "200").then_some(body)
    };
    let told = eventually("the CA", SOON, told).await.unwrap();
    let bundle = api.object("configmaps", "podgate", "podgate-ca").unwrap();
    assert_eq!(bundle["data"]["host_ca.pub"], *told);
    assert!(told.starts_with("ssh-ed25519 "), "{told}");
    let (printed, said) = config(&desk).await;
    let line = format!("@cert-authority a.example {told}");
    assert!(printed.ends_with(&line), "{printed} {line}");
    assert!(printed.contains("HostKeyAlias a.example\n"), "{printed}");
    assert_eq!(said, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_without_one_says_so() {
    let (desk, _api) = Desk::alone("").await;
    let (status, body) = get(&desk).await;
    assert_eq!(status, "404");
    assert_eq!(body, "podgate: this signer certifies no hosts\n");
}
