//! The whole stand: a cluster of one node with its API server and kubelet, a frontdoor and an agent
//! as processes, and a client that may log in.

pub mod enrolled;
mod later;
mod sites;

use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::apiserver::{ApiServer, Rbac, group, rule};
use crate::cluster::{Cluster, PodBuilder, pod};
use crate::containerd::{Containerd, PodSpec, RunningPod};
use crate::embedded::{Embedded, EmbeddedContainer};
use crate::gateway::Part;
use crate::helper::Helper;
use crate::kubelet::{Kubelet, Runtime, ServerCertificate};
use crate::network::{Network, Site};
use crate::pki::Pki;
use crate::ssh::{Client, keygen};
use sites::Sites;

/// The one node.
pub const NODE: &str = "node-a";
/// Its address.
pub const NODE_IP: &str = "127.0.0.1";

/// All of it; everything stops on drop.
pub struct Stand {
    /// The user's client.
    pub client: Client,
    /// The frontdoor's process.
    pub frontdoor: Part,
    /// The agent's process.
    pub agent: Part,
    /// The signer's process, where the parts enrol.
    pub signer: Option<Part>,
    /// The node helper, where the agent has one.
    pub helper: Option<Helper>,
    /// What the API server and the kubelet know.
    pub cluster: Cluster,
    /// The API server's stand-in.
    pub api: ApiServer,
    /// The kubelet's stand-in.
    pub kubelet: Kubelet,
    /// What issued every certificate.
    pub pki: Pki,
    /// The plain processes that stand for containers, where no containerd does.
    pub embedded: Option<Arc<Embedded>>,
    /// The real runtime, where there is one.
    pub containerd: Option<Arc<Containerd>>,
    sites: Sites,
    dir: TempDir,
}

/// What a test changes in the configurations: lines of YAML to add.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Lines for `agent.yaml`.
    pub agent: String,
    /// Lines for `frontdoor.yaml`.
    pub frontdoor: String,
    /// Whether the agent shows the kubelet a client certificate instead of a bearer token.
    pub kubelet_certificate: bool,
    /// Which certificate of the kubelet the agent trusts.
    pub kubelet_trust: KubeletTrust,
    /// Whether the agent has a node helper, which needs root.
    pub helper: bool,
    /// Networks of their own for client, frontdoor and node, which need root.
    pub network: Option<Arc<Network>>,
    /// Whether agents are dialled at their own pods, each a [`Stand::agent_pod`].
    pub agent_pods: bool,
    /// Whether agent and frontdoor get their certificates from a signer.
    pub enrolled: Option<enrolled::Config>,
    /// What both log; by default all that helps to understand a test's failure.
    pub level: Option<&'static str>,
}

/// Which certificate of the kubelet an agent trusts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubeletTrust {
    /// One of the stand's authority, for the node's name.
    #[default]
    Ca,
    /// The one in file `kubelet-server.crt` of the stand's folder; at first it is of another authority.
    Certificate,
    /// Any.
    Anything,
}

/// The bearer token that the kubelet knows the agent by; in file `token` of the stand's folder.
pub const TOKEN: &str = "agents-token";

const LEVEL: &str = "info,podgate_agent=debug,podgate_frontdoor=debug";

impl Stand {
    /// With plain processes of this machine for containers; no root needed. Pod `demo` of namespace
    /// `default` is there.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn embedded(changes: Changes) -> Result<Self> {
        let embedded = Arc::new(Embedded::new()?);
        embedded.container("demo", EmbeddedContainer::default());
        let runtime = Runtime::Embedded(Arc::clone(&embedded));
        let mut stand = Self::start(runtime, changes).await?;
        stand.embedded = Some(embedded);
        Ok(stand)
    }

    /// With real containers. Pods are added by [`run_pod`](Self::run_pod).
    ///
    /// # Errors
    /// When a part does not start, or this is not root.
    pub async fn containerd(changes: Changes) -> Result<Self> {
        let containerd = Arc::new(Containerd::shared().await?);
        let mut stand = Self::start(Runtime::Containerd(Arc::clone(&containerd)), changes).await?;
        stand.containerd = Some(containerd);
        Ok(stand)
    }

    /// With real containers, and a pod of each kind of shell that images have: `bb` with busybox, `deb`
    /// with dash and bash.
    ///
    /// # Errors
    /// When a part does not start, or this is not root.
    pub async fn with_shells(changes: Changes) -> Result<(Self, [RunningPod; 2])> {
        let stand = Self::containerd(changes).await?;
        let bb = stand.run_pod(PodSpec::busybox("bb")).await?;
        let deb = stand.run_pod(PodSpec::bash("deb")).await?;
        Ok((stand, [bb, deb]))
    }

    /// Runs a pod in containerd and makes it known to the cluster.
    ///
    /// # Errors
    /// When there is no containerd, or it cannot.
    pub async fn run_pod(&self, spec: PodSpec) -> Result<RunningPod> {
        let containerd = self
            .containerd
            .as_ref()
            .context("this stand has no containerd")?;
        let running = containerd.run_pod(spec).await?;
        self.publish(&running);
        Ok(running)
    }

    /// Makes the cluster's view of a pod that of the runtime.
    pub fn publish(&self, running: &RunningPod) {
        let known = pod(
            &running.namespace,
            &running.name,
            &running.uid,
            NODE,
            &self.sites.node,
        );
        let known = running.containers.iter().fold(known, |known, container| {
            known.container(&container.name, &container.id)
        });
        let known = if running.host_network {
            known.host_network()
        } else {
            known
        };
        self.cluster.replace(known);
    }

    /// A pod that the frontdoor takes for an agent's with [`Changes::agent_pods`]; to be added to the
    /// cluster.
    pub fn agent_pod(name: &str, ip: &str) -> PodBuilder {
        let agent = pod("podgate", name, &format!("{name}-uid"), NODE, NODE_IP);
        agent
            .label("app", "agent")
            .pod_ip(ip)
            .container("agent", name)
    }

    async fn start(runtime: Runtime, changes: Changes) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("podgate-stand-")
            .tempdir()?;
        let path = dir.path();
        let level = changes.level.unwrap_or(LEVEL);
        let pki = Pki::new()?;
        let cluster = Cluster::new();
        let sites = Sites::of(changes.network.clone());
        let api = ApiServer::start_at(sites.api.parse()?, cluster.clone(), &pki).await?;
        api.set_rbac(everyone());
        if matches!(runtime, Runtime::Embedded(_)) {
            let demo = pod("default", "demo", "demo-uid", NODE, &sites.node);
            cluster.add(demo.container("main", "demo"));
        }
        let address = SocketAddrV4::new(sites.kubelet.parse()?, 0);
        let kubelet = Kubelet::start_at(address, NODE, cluster.clone(), &pki, runtime).await?;
        let ca = pki.write_ca(path)?;
        api.kubeconfig(&path.join("kubeconfig"))?;

        let signer = match changes.enrolled {
            None => None,
            Some(changes) => {
                enrolled::prepare(&api, path)?;
                if changes.keys == enrolled::Keys::Files {
                    enrolled::write_ca(path)?;
                }
                Some(enrolled::signer(path, 0, changes).await?)
            }
        };
        let tls = |account, name: &str| match &signer {
            None => issue(&pki, path, name, account),
            Some(signer) => enrolled::part(&api, path, signer, account, NODE),
        };
        let own = tls("agent", &format!("{NODE}.agent.podgate"))?;
        let identity = pki.client("podgate-agent", &["system:masters"])?;
        std::fs::write(path.join("kubelet.crt"), &identity.cert_pem)?;
        std::fs::write(path.join("kubelet.key"), &identity.key_pem)?;
        std::fs::write(path.join("token"), format!("{TOKEN}\n"))?;
        kubelet
            .access()
            .add_token(TOKEN, "system:serviceaccount:podgate:agent");
        let credential = if changes.kubelet_certificate {
            format!(
                "cert: '{0}/kubelet.crt', key: '{0}/kubelet.key'",
                path.display()
            )
        } else {
            format!("tokenFile: '{}/token'", path.display())
        };
        let server = path.join("kubelet-server.crt");
        std::fs::write(
            &server,
            kubelet.certificate_pem(ServerCertificate::Untrusted),
        )?;
        let trust = match changes.kubelet_trust {
            KubeletTrust::Ca => format!("serverName: {NODE}, ca: '{}'", ca.display()),
            KubeletTrust::Certificate => format!("certificate: '{}'", server.display()),
            KubeletTrust::Anything => "insecureSkipVerify: true".to_owned(),
        };
        let (helper, socket) = if changes.helper {
            let socket = path.join("helper/node.sock");
            let line = format!("nodeHelper: '{}'\n", socket.display());
            (Some(Helper::start(&socket).await?), line)
        } else {
            (None, String::new())
        };
        let config = format!(
            "node: {NODE}\nlisten: {ip}:0\nadmin: {ip}:0\n{own}\
             kubelet: {{url: '{url}', {trust}, {credential}}}\n\
             journal: '{dir}/journal'\n{socket}\
             log: {{format: json, level: '{level}'}}\n{changes}",
            ip = sites.node,
            dir = path.display(),
            url = kubelet.url(),
            changes = changes.agent,
        );
        let agent = sites.part(Site::Node, path, &config).await?;

        let user = keygen(&path.join("id"), &["-t", "ed25519"]).await?;
        let host = keygen(&path.join("host"), &["-t", "ed25519"]).await?;
        let users = format!("- {{name: ada, groups: [dev], keys: ['{user}']}}\n");
        std::fs::write(path.join("users.yaml"), users)?;
        let own = tls("frontdoor", "frontdoor.podgate")?;
        let pods = match changes.agent_pods {
            true => ", pods: {namespace: podgate, selector: app=agent}",
            false => "",
        };
        let config = format!(
            "listen: {ip}:0\nadmin: {ip}:0\nhostKeys: ['{dir}/host']\n{own}\
             kubeconfig: '{dir}/kubeconfig'\nagents: {{port: {port}{pods}}}\nusers: '{dir}/users.yaml'\n\
             log: {{format: json, level: '{level}'}}\n{changes}",
            ip = sites.frontdoor,
            dir = path.display(),
            port = agent.port(),
            changes = changes.frontdoor,
        );
        let frontdoor = sites.part(Site::Frontdoor, path, &config).await?;
        let known = format!("[{}]:{} {host}\n", sites.frontdoor, frontdoor.port());
        std::fs::write(path.join("known_hosts"), known)?;

        let client = Client::new(path, frontdoor.port());
        let client = match &sites.network {
            Some(network) => client.on(network),
            None => client,
        };
        let (embedded, containerd) = (None, None);
        Ok(Self {
            client,
            frontdoor,
            agent,
            signer,
            helper,
            cluster,
            api,
            kubelet,
            pki,
            embedded,
            containerd,
            sites,
            dir,
        })
    }

    /// The folder of keys, certificates and configurations.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// What the users of a stand may do unless a test says otherwise: enter every pod.
fn everyone() -> Rbac {
    let enter = rule(&["create"], &[""], &["pods/exec"]);
    Rbac::default()
        .cluster_role("enter", &[enter])
        .bind_everywhere("everyone", "enter", &[group("system:authenticated")])
}

/// Issues a certificate, and gives the `tls` line of a configuration.
fn issue(pki: &Pki, dir: &Path, name: &str, file: &str) -> Result<String> {
    let issued = pki.issue(&[name])?;
    std::fs::write(dir.join(format!("{file}.crt")), issued.cert_pem)?;
    std::fs::write(dir.join(format!("{file}.key")), issued.key_pem)?;
    let ca = pki.write_ca(dir)?;
    let dir = dir.display();
    let ca = ca.display();
    Ok(format!(
        "tls: {{cert: '{dir}/{file}.crt', key: '{dir}/{file}.key', ca: '{ca}'}}\n"
    ))
}
