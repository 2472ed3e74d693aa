//! The chart as it installs: its pods run by the real runtime as it renders them, at an API server and a
//! kubelet that let them do what its RBAC says, and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use podgate_tests::apiserver::{ApiServer, Rbac, group, rule, service_account};
use podgate_tests::cluster::{Cluster, pod};
use podgate_tests::containerd::{Bridge, Containerd, PodSpec, RunningPod, eventually};
use podgate_tests::deployed::{Node, Objects};
use podgate_tests::kubelet::{Kubelet, Runtime};
use podgate_tests::pki::Pki;
use podgate_tests::ssh::{Client, keygen};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const SOON: Duration = Duration::from_secs(30);
/// The release's.
const NAMESPACE: &str = "podgate";
const NODE: &str = "node-a";

/// What the chart makes of these values, by Helm's own engine.
fn rendered(values: &Value) -> Objects {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(root.join("tests/chart/render"));
    let output = command.arg(values.to_string()).stderr(Stdio::inherit());
    let output = output.output().unwrap();
    assert!(output.status.success(), "tests/chart/render");
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    let objects = line["objects"].as_array().unwrap().iter();
    let objects = objects.map(|one| one["object"].clone()).collect();
    Objects::new(objects, NAMESPACE)
}

/// A release that is installed on one node, and a user's client.
struct Installed {
    node: Node,
    api: Arc<ApiServer>,
    /// What the chart's objects and a user's let whom do.
    rbac: Rbac,
    cluster: Cluster,
    client: Client,
    pki: Pki,
    containerd: Arc<Containerd>,
    /// The desk's address.
    signer: String,
    _kubelet: Kubelet,
    dir: TempDir,
}

/// A ConfigMap or Secret that is no chart's.
fn kept(kind: &str, name: &str, texts: &[(&str, &str)]) -> Value {
    let texts: serde_json::Map<_, _> = texts
        .iter()
        .map(|(key, text)| ((*key).to_owned(), (*text).into()))
        .collect();
    let field = if kind == "Secret" {
        "stringData"
    } else {
        "data"
    };
    json!({
        "kind": kind, "apiVersion": "v1",
        "metadata": {"name": name, "namespace": NAMESPACE}, field: texts,
    })
}

impl Installed {
    async fn new(values: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let user = keygen(&dir.path().join("id"), &["-t", "ed25519"])
            .await
            .unwrap();
        let mut all = json!({
            "users": [{"name": "ada", "groups": ["dev"], "keys": [user]}],
            "signer": {"desk": {"enabled": true, "tlsSecret": "desk-tls"}},
            "log": {"level": "info,podgate_agent=debug,podgate_frontdoor=debug"},
        });
        for (key, value) in values.as_object().unwrap() {
            all[key] = value.clone();
        }
        let objects = rendered(&all);

        let containerd = Arc::new(Containerd::shared().await.unwrap());
        let bridge = Bridge::new().unwrap();
        let (pki, cluster) = (Pki::new().unwrap(), Cluster::new());
        let gateway = bridge.gateway();
        let api = ApiServer::start_at(gateway.parse().unwrap(), cluster.clone(), &pki);
        let api = Arc::new(api.await.unwrap());
        let enter = rule(&["create"], &[""], &["pods/exec"]);
        let users = [group("dev"), service_account("ci", "builder")];
        let rbac = objects.rbac().unwrap().cluster_role("enter", &[enter]);
        let rbac = rbac.bind("default", "users", "ClusterRole/enter", &users);
        api.set_rbac(rbac.clone());
        api.enforce(true);
        let runtime = Runtime::Containerd(Arc::clone(&containerd));
        let address = format!("{gateway}:10250").parse().unwrap();
        let kubelet = Kubelet::start_at(address, NODE, cluster.clone(), &pki, runtime);
        let kubelet = kubelet.await.unwrap();
        let judge = Arc::clone(&api);
        kubelet
            .access()
            .delegate(Arc::new(move |token, verb, resource| {
                judge.may(token, verb, resource)
            }));

        api.put_object(kept(
            "ConfigMap",
            "kube-root-ca.crt",
            &[("ca.crt", &pki.ca_pem())],
        ));
        let desk = pki.issue(&[&bridge.place(2).address]).unwrap();
        let desk = [
            ("tls.crt", desk.cert_pem.as_str()),
            ("tls.key", &desk.key_pem),
        ];
        api.put_object(kept("Secret", "desk-tls", &desk));
        let (node_containerd, known) = (Arc::clone(&containerd), cluster.clone());
        let node = Node::new(
            NODE,
            bridge,
            objects,
            node_containerd,
            known,
            Arc::clone(&api),
        );
        let mut node = node.unwrap();

        let signer = node.run("Deployment", "podgate-signer").await.unwrap();
        node.serve("podgate-signer", &signer).unwrap();
        node.run("DaemonSet", "podgate-agent").await.unwrap();
        let frontdoor = node.run("Deployment", "podgate-frontdoor").await.unwrap();
        let client = Client::new(dir.path(), 2222).at(&frontdoor);
        let this = Self {
            node,
            api,
            rbac,
            cluster,
            client,
            pki,
            containerd,
            signer,
            _kubelet: kubelet,
            dir,
        };
        this.know(&frontdoor);
        this
    }

    /// Writes what the Secret of the host keys says into the client's known_hosts.
    fn know(&self, frontdoor: &str) {
        let secret = self
            .api
            .object("secrets", NAMESPACE, "podgate-host-keys")
            .unwrap();
        let data = secret["data"].as_object().unwrap();
        let (_, key) = data.iter().next().unwrap();
        let key = self.decode(key.as_str().unwrap());
        let public = Command::new("ssh-keygen")
            .arg("-yf")
            .arg(key)
            .output()
            .unwrap();
        let public = String::from_utf8(public.stdout).unwrap();
        let line = format!("[{frontdoor}]:2222 {public}");
        std::fs::write(self.dir.path().join("known_hosts"), line).unwrap();
    }

    fn decode(&self, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let (coded, plain) = (self.dir.path().join("coded"), self.dir.path().join("host"));
        std::fs::write(&coded, text).unwrap();
        let decoded = Command::new("base64")
            .arg("-d")
            .arg(coded)
            .output()
            .unwrap();
        std::fs::write(&plain, decoded.stdout).unwrap();
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&plain, mode).unwrap();
        plain
    }

    /// Runs a user's pod on the node.
    async fn user_pod(&self, spec: PodSpec) -> RunningPod {
        let running = self.containerd.run_pod(spec).await.unwrap();
        let gateway = self.node.bridge.gateway();
        let mut known = pod(
            &running.namespace,
            &running.name,
            &running.uid,
            NODE,
            &gateway,
        );
        for container in &running.containers {
            known = known.container(&container.name, &container.id);
        }
        self.cluster.add(known.label("app", &running.name));
        running
    }

    /// What a command prints in a target.
    async fn prints(&self, options: &[&str], target: &str, command: &str) -> String {
        let output = self.client.run(options, target, command).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{target}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chart_renders_serves_sessions() {
    let installed = Installed::new(json!({})).await;
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
    // What the frontdoor may ask the API server for.
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

    // Whoever vanishes is hung up, by the helper, in an image without a shell, too.
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
    denied_elsewhere(&installed).await;
    by_token(&installed).await;
    without_its_rights(&installed).await;
}

/// That what is rendered is what lets them: without the agents' role nothing goes on.
async fn without_its_rights(installed: &Installed) {
    let mut rbac = installed.rbac.clone();
    let agents = |role: &ClusterRole| role.metadata.name.as_deref() == Some("podgate-agent");
    rbac.cluster_roles.retain(|role| !agents(role));
    installed.api.set_rbac(rbac);
    let output = installed.client.run(&[], "web-0", "true").await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the kubelet"), "{said}");
    assert_eq!(output.status.code(), Some(255), "{said}");
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

/// A ServiceAccount's token becomes a certificate at the chart's desk, and that lets it in.
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
    // Its CA's key is brought to the frontdoor by the bundle.
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
