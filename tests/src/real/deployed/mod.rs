//! Podgate as a chart deploys it: pods from rendered objects, run by the real runtime with exactly the
//! arguments, files, users and capabilities that the objects say. This code stands in for the kubelet
//! and the controllers. A field of a pod that it does not know is an error.

mod objects;
mod pod;
mod pod_fields;
mod probe;
mod token;
mod volumes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::real::containerd::{Bridge, Containerd, HostNetwork, RunningPod};
use crate::stand_ins::apiserver::ApiServer;
use crate::stand_ins::cluster::{Cluster, pod as known};
pub use objects::Objects;
use pod_fields::PodFields;
use token::Tokens;
use volumes::Volumes;

/// The pause between two updates of volumes. The kubelet's is a minute.
const SYNC: Duration = Duration::from_millis(200);

/// A node where the chart's pods run; they stop on drop.
pub struct Node {
    /// Its name.
    pub name: String,
    /// What the chart rendered.
    pub objects: Objects,
    /// The network of its pods. The API server is at the gateway's address.
    pub bridge: Bridge,
    /// Its own network, where its kubelet is.
    pub host: HostNetwork,
    pods: Vec<RunningPod>,
    containerd: Arc<Containerd>,
    cluster: Cluster,
    api: Arc<ApiServer>,
    /// Names that pods know, and their addresses.
    hosts: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    following: JoinSet<()>,
    dir: TempDir,
}

impl Node {
    /// A node without pods. All that the chart renders is applied; what is let whom do is `rbac`'s to
    /// say, beside the chart's own.
    ///
    /// # Errors
    /// When this is not root, or the machine cannot.
    pub fn new(
        name: &str,
        (bridge, host): (Bridge, HostNetwork),
        objects: Objects,
        containerd: Arc<Containerd>,
        cluster: Cluster,
        api: Arc<ApiServer>,
    ) -> Result<Self> {
        for object in objects.all() {
            api.put_object(object.clone());
        }
        let (server, port) = (bridge.gateway(), api.port().to_string());
        let variable = |name: &str, value: String| (name.to_owned(), value);
        Ok(Self {
            name: name.to_owned(),
            objects,
            bridge,
            host,
            pods: Vec::new(),
            containerd,
            cluster,
            api,
            hosts: Vec::new(),
            environment: vec![
                variable("KUBERNETES_SERVICE_HOST", server),
                variable("KUBERNETES_SERVICE_PORT", port),
            ],
            following: JoinSet::new(),
            dir: tempfile::Builder::new().prefix("podgate-node-").tempdir()?,
        })
    }

    /// Where the node's own files are: `/` of its hostPath volumes.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Runs one pod of a workload, such as `Deployment`, and waits until its readiness probes say
    /// yes. Gives its address.
    ///
    /// # Errors
    /// When it cannot run as its template says, or does not come to be ready; with its logs.
    pub async fn run(&mut self, kind: &str, workload: &str) -> Result<String> {
        let object: Value = self.objects.one(kind, workload)?;
        let template = object.pointer("/spec/template").context("no template")?;
        let template: core::PodTemplateSpec = serde_json::from_value(template.clone())?;
        let spec = template.spec.clone().context("no spec")?;
        let namespace = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        let number = u8::try_from(self.pods.len())? + 2;
        let fields = PodFields {
            namespace: namespace.context("no namespace")?.to_owned(),
            name: format!("{workload}-{number}"),
            uid: format!("{workload}-{number}-uid"),
            node: self.name.clone(),
            node_address: self.host.address.clone(),
            joined: self.bridge.place(number),
        };
        let account = spec.service_account_name.as_deref().unwrap_or("default");
        let tokens = Tokens {
            api: &self.api,
            namespace: &fields.namespace,
            account,
            pod: &fields.name,
            uid: &fields.uid,
            node: &fields.node,
        };
        let dir = self.dir.path().join(&fields.name);
        let logs = dir.join("logs");
        std::fs::create_dir_all(&logs)?;
        let hosts = dir.join("hosts");
        let lines = self.hosts.iter().map(|(name, ip)| format!("{ip} {name}\n"));
        let lines: String = lines.collect();
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{lines}"))?;
        let group = spec.security_context.as_ref().and_then(|it| it.fs_group);
        let listed = spec.volumes.as_deref().unwrap_or_default();
        let mut volumes = Volumes::make(listed, &dir, &self.root(), group, &fields, &tokens)?;
        volumes.sync(&self.api, &fields.namespace)?;

        let mut told = pod::spec(&spec, &fields, &volumes, &self.environment, &hosts)?;
        told.logs = Some(logs.clone());
        let running = self.containerd.run_pod(told).await?;
        let address = fields.joined.address.clone();
        let (api, of) = (Arc::clone(&self.api), fields.namespace.clone());
        self.following.spawn(async move {
            loop {
                tokio::time::sleep(SYNC).await;
                // A volume that is missing now was there when the pod began.
                let _ = volumes.sync(&api, &of);
            }
        });
        let mut published = known(
            &fields.namespace,
            &fields.name,
            &fields.uid,
            &self.name,
            &fields.node_address,
        )
        .pod_ip(&address);
        for (key, value) in template
            .metadata
            .and_then(|it| it.labels)
            .into_iter()
            .flatten()
        {
            published = published.label(&key, &value);
        }
        for container in &running.containers {
            published = published.container(&container.name, &container.id);
        }
        self.pods.push(running);
        self.cluster.add(published);
        probe::ready(&spec, &address, &logs).await?;
        Ok(address)
    }

    /// The address of a workload's pod that runs.
    pub fn address(&self, workload: &str) -> Option<String> {
        let number = self
            .pods
            .iter()
            .position(|pod| pod.name.starts_with(workload))?;
        Some(self.bridge.place(u8::try_from(number).ok()? + 2).address)
    }

    /// What a container of a workload's pod has written; empty if there is none.
    pub fn log(&self, workload: &str, container: &str) -> String {
        let pod = self.pods.iter().find(|pod| pod.name.starts_with(workload));
        let logs = pod.map(|pod| self.dir.path().join(&pod.name).join("logs"));
        let log = logs.map(|logs| logs.join(format!("{container}.log")));
        let read = log.and_then(|log| std::fs::read_to_string(log).ok());
        read.unwrap_or_default()
    }

    /// Has pods that are run from now on know a Service by its name, at a pod's address.
    ///
    /// # Errors
    /// When a port of the Service is not the pod's own, for which there is no proxy here.
    pub fn serve(&mut self, service: &str, address: &str) -> Result<()> {
        let object: core::Service = self.objects.one("Service", service)?;
        let namespace = object.metadata.namespace.unwrap_or_default();
        for port in object.spec.and_then(|spec| spec.ports).unwrap_or_default() {
            let behind = match port.target_port {
                None => Some(port.port),
                Some(IntOrString::Int(number)) => Some(number),
                Some(IntOrString::String(name)) => self.port(&name)?,
            };
            ensure!(
                behind == Some(port.port),
                "{service}: {} is {behind:?}",
                port.port
            );
        }
        for form in ["", ".svc", ".svc.cluster.local"] {
            self.hosts
                .push((format!("{service}.{namespace}{form}"), address.to_owned()));
        }
        Ok(())
    }

    /// A container's port by its name.
    fn port(&self, name: &str) -> Result<Option<i32>> {
        let mut deployments = self.objects.every::<Deployment>("Deployment")?.into_iter();
        Ok(deployments.find_map(|deployment| {
            let pod = deployment.spec?.template.spec?;
            let mut ports = pod
                .containers
                .into_iter()
                .flat_map(|one| one.ports)
                .flatten();
            let found = ports.find(|port| port.name.as_deref() == Some(name))?;
            Some(found.container_port)
        }))
    }
}
