//! A release of the chart on one node, and a user's client.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use podgate_tests::fixtures::pki::Pki;
use podgate_tests::real::containerd::{Bridge, Containerd, PodSpec, RunningPod};
use podgate_tests::real::deployed::{Node, Objects};
use podgate_tests::real::ssh::{Client, keygen};
use podgate_tests::stand_ins::apiserver::{ApiServer, Rbac, group, rule, service_account};
use podgate_tests::stand_ins::cluster::{Cluster, pod};
use podgate_tests::stand_ins::kubelet::{Kubelet, Runtime};
use serde_json::{Value, json};
use tempfile::TempDir;

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
pub(super) struct Installed {
    pub(super) node: Node,
    pub(super) api: Arc<ApiServer>,
    /// The rights from the chart's objects and of a user.
    pub(super) rbac: Rbac,
    pub(super) cluster: Cluster,
    pub(super) client: Client,
    pub(super) pki: Pki,
    pub(super) containerd: Arc<Containerd>,
    /// The desk's address.
    pub(super) signer: String,
    _kubelet: Kubelet,
    pub(super) dir: TempDir,
}

/// A ConfigMap or Secret that the chart does not make.
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
    pub(super) async fn new(values: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let user = keygen(&dir.path().join("id"), &["-t", "ed25519"])
            .await
            .unwrap();
        let mut all = json!({
            "image": {"registry": "registry.example.com"},
            "users": [{"name": "ada", "groups": ["dev"], "keys": [user]}],
            "signer": {"desk": {"enabled": true, "tlsSecret": "desk-tls"}},
            "log": {"level": "info,podgate_agent=debug,podgate_frontdoor=debug,podgate_signer=debug"},
        });
        for (key, value) in values.as_object().unwrap() {
            all[key] = value.clone();
        }
        let containerd = Arc::new(Containerd::shared().await.unwrap());
        // This machine's containerd is not where a node has it, and its first process may have more capabilities than
        // there are to give here.
        let (state, own) = (containerd.dir().join("state"), std::process::id());
        let root = format!("/proc/{own}/root");
        all["nodeEntry"]["arguments"] = json!(["--containerd", state, "--node-root", root]);
        let objects = rendered(&all);

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
        // The port that the chart's agent dials may be taken by a real kubelet on this machine.
        let host = bridge.host().unwrap();
        let listener = host.listen(10250).unwrap().try_into().unwrap();
        let kubelet = Kubelet::start_on(listener, NODE, cluster.clone(), &pki, runtime);
        let kubelet = kubelet.unwrap();
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
        let network = (bridge, host);
        let node = Node::new(
            NODE,
            network,
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
    pub(super) async fn user_pod(&self, spec: PodSpec) -> RunningPod {
        let running = self.containerd.run_pod(spec).await.unwrap();
        let mut known = pod(
            &running.namespace,
            &running.name,
            &running.uid,
            NODE,
            &self.node.host.address,
        );
        for container in &running.containers {
            known = known.container(&container.name, &container.id);
        }
        self.cluster.add(known.label("app", &running.name));
        running
    }

    /// What a command prints in a target.
    pub(super) async fn prints(&self, options: &[&str], target: &str, command: &str) -> String {
        let output = self.client.run(options, target, command).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{target}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }
}
