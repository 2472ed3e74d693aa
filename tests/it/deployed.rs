//! The chart as it is installed. Its pods run in the real runtime as it renders them. The API server
//! and the kubelet permit what the chart's RBAC says, and nothing else.

mod installed;

use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::containerd::PodSpec;
use podgate_tests::real::ssh::{Client, keygen};
use serde_json::json;
use tokio::io::AsyncReadExt;

use installed::Installed;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chart_renders_serves_sessions() {
    // The agent asks the kubelet for pods' labels.
    let values = json!({"agent": {"deny": {"labels": {"podgate": "no"}}}});
    let installed = Installed::new(values).await;
    let app = installed.user_pod(PodSpec::busybox("web-0")).await;
    let bare = installed.user_pod(PodSpec::distroless("bare")).await;

    assert_eq!(
        installed.prints(&[], "web-0", "echo $((6 * 7))").await,
        "42\n"
    );
    let terminal = installed.prints(&["-tt"], "web-0", "stty size; tty").await;
    assert!(terminal.contains("/dev/"), "{terminal}");
    let exit = installed.client.run(&[], "web-0", "exit 7").await.unwrap();
    assert_eq!(exit.status.code(), Some(7), "{exit:?}");
    // The rights that the frontdoor needs at the API server.
    let deployment = Deployment {
        metadata: ObjectMeta {
            namespace: Some("default".into()),
            name: Some("web".into()),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            selector: LabelSelector {
                match_labels: Some([("app".to_owned(), "web-0".to_owned())].into()),
                ..LabelSelector::default()
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    };
    installed.cluster.put(deployment);
    let whose = installed.prints(&[], "deploy/web", "echo chosen").await;
    assert_eq!(whose, "chosen\n");
    let pods = installed.prints(&[], "pods", "").await;
    assert!(pods.contains("web-0") && pods.contains("bare"), "{pods}");

    // Whoever vanishes is hung up, by the node entry, in an image without a shell, too.
    for (target, command, id) in [
        ("web-0", "sleep 7351", app.container_id("app").unwrap()),
        (
            "bare",
            "/probe sleep 7351",
            bare.container_id("app").unwrap(),
        ),
    ] {
        let mut ssh = installed.client.ssh(&[], target);
        let mut ssh = ssh.arg(command).stdin(Stdio::piped()).spawn().unwrap();
        let runs = |expect: bool| {
            let containerd = &installed.containerd;
            eventually("the process", SOON, move || {
                let all = containerd.processes_in(id);
                let there = all.iter().any(|(_, line)| line.contains("7351"));
                std::future::ready((there == expect).then_some(()))
            })
        };
        runs(true).await.unwrap();
        ssh.kill().await.unwrap();
        runs(false).await.unwrap();
    }
    the_entry_serves(&installed).await;
    denied_elsewhere(&installed).await;
    by_token(&installed).await;
    without_its_rights(&installed).await;
}

/// The node entry has all that it needs as it is rendered, and finds the node's containers and their runtime.
async fn the_entry_serves(installed: &Installed) {
    let said = || installed.node.log("podgate-agent", "node-entry");
    let expect = [
        "serving, with ",
        "containers are in ",
        "containers run under ",
    ];
    let serves = eventually("the node entry", SOON, || {
        let said = said();
        std::future::ready(
            expect
                .iter()
                .all(|words| said.contains(words))
                .then_some(()),
        )
    });
    assert!(serves.await.is_ok(), "{}", said());
}

/// Shows that the rendered rights are the ones in use: without the agents' role nothing works.
async fn without_its_rights(installed: &Installed) {
    let mut rbac = installed.rbac.clone();
    let agents = |role: &ClusterRole| role.metadata.name.as_deref() == Some("podgate-agent");
    rbac.cluster_roles.retain(|role| !agents(role));
    installed.api.set_rbac(rbac);
    // The labels of pods are kept for a moment.
    let refused = eventually("no session", SOON, || async {
        let output = installed.client.run(&[], "web-0", "true").await.ok()?;
        let said = String::from_utf8(output.stderr).ok()?;
        (output.status.code() == Some(255)).then_some(said)
    });
    let said = refused.await.unwrap();
    assert!(said.contains("the kubelet"), "{said}");
}

async fn denied_elsewhere(installed: &Installed) {
    let output = installed
        .client
        .run(&[], "web-0.podgate", "true")
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said,
        "podgate: no pod web-0 in namespace podgate, or you may not enter it\r\n"
    );
}

/// A ServiceAccount's token becomes a certificate at the chart's desk, and the certificate logs in.
async fn by_token(installed: &Installed) {
    let bearer = crate::desk::issue(&installed.api, "ci", "builder");
    let dir = installed.dir.path().join("builder");
    std::fs::create_dir(&dir).unwrap();
    keygen(&dir.join("id"), &["-t", "ed25519"]).await.unwrap();
    std::fs::copy(
        installed.dir.path().join("known_hosts"),
        dir.join("known_hosts"),
    )
    .unwrap();
    installed.pki.write_ca(&dir).unwrap();
    let mut curl = tokio::process::Command::new("curl");
    let mut child = curl
        .args(["-sSf", "-m", "30", "--cacert"])
        .arg(dir.join("ca.crt"))
        .args(["-H", "@-", "--data-binary"])
        .arg(format!("@{}", dir.join("id.pub").display()))
        .arg("-o")
        .arg(dir.join("id-cert.pub"))
        .arg(format!("https://{}:8444/v1/certificate", installed.signer))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let header = format!("Authorization: Bearer {bearer}");
    tokio::io::AsyncWriteExt::write_all(&mut stdin, header.as_bytes())
        .await
        .unwrap();
    drop(stdin);
    let mut said = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut said).await.unwrap();
    assert!(child.wait().await.unwrap().success(), "{said}");
    let builder = Client::new(&dir, 2222);
    let builder = builder.at(&installed.node.address("podgate-frontdoor").unwrap());
    // The bundle brings the CA's key to the frontdoor.
    let whoami = eventually("the login", SOON, || async {
        let output = builder.run(&[], "whoami", "").await.ok()?;
        output.status.success().then_some(output.stdout)
    });
    let whoami = String::from_utf8(whoami.await.unwrap()).unwrap();
    assert!(
        whoami.contains("user: system:serviceaccount:ci:builder\n"),
        "{whoami}"
    );
    let output = builder.run(&[], "web-0", "echo here").await.unwrap();
    assert_eq!(output.stdout, b"here\n", "{output:?}");
}
