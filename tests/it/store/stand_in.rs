//! The stand-in's store, read through the stand-in for the API server: a key is a pod, and its value
//! the pod's node.

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, VersionMatch, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::stand_ins::apiserver::ApiServer;
use podgate_tests::stand_ins::cluster::{Cluster, pod};

use super::contract::{Change, Store, Unreadable};

pub(super) struct StandIn {
    cluster: Cluster,
    pods: Api<Pod>,
    _api: ApiServer,
}

fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap()
}

fn key(pod: &Pod) -> String {
    let [namespace, name] = [&pod.metadata.namespace, &pod.metadata.name].map(Option::as_deref);
    format!("{}/{}", namespace.unwrap(), name.unwrap())
}

fn change(what: &'static str, pod: &Pod) -> Change {
    let revision = pod.metadata.resource_version.as_deref().unwrap();
    (what, key(pod), revision.parse().unwrap())
}

impl Store for StandIn {
    async fn start() -> Self {
        let cluster = Cluster::new();
        let pki = Pki::new().unwrap();
        let api = ApiServer::start(cluster.clone(), &pki).await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        api.kubeconfig(file.path()).unwrap();
        let file = Kubeconfig::read_from(file.path()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await;
        let client = Client::try_from(config.unwrap()).unwrap();
        let pods = Api::all(client);
        Self {
            cluster,
            pods,
            _api: api,
        }
    }

    async fn put(&self, key: &str, value: &str) {
        let (namespace, name) = split(key);
        self.cluster
            .add(pod(namespace, name, name, value, "127.0.0.1"));
    }

    async fn delete(&self, key: &str) {
        let (namespace, name) = split(key);
        self.cluster.remove(namespace, name);
    }

    async fn revision(&self) -> u64 {
        let list = self.pods.list(&ListParams::default()).await.unwrap();
        let revision = list.metadata.resource_version.unwrap();
        revision.parse().unwrap()
    }

    async fn at(&self, revision: u64) -> Result<Vec<(String, String)>, Unreadable> {
        if revision > self.revision().await {
            // kube's client would ask for it again and again.
            return Err(Unreadable::Future);
        }
        let exact = ListParams::default()
            .at(&revision.to_string())
            .matching(VersionMatch::Exact);
        match self.pods.list(&exact).await {
            Ok(list) => {
                let value = |pod: &Pod| pod.spec.clone().unwrap().node_name.unwrap();
                Ok(list.iter().map(|pod| (key(pod), value(pod))).collect())
            }
            Err(kube::Error::Api(status)) if status.code == 410 => Err(Unreadable::Compacted),
            Err(error) => panic!("{error}"),
        }
    }

    async fn after(&self, revision: u64, count: usize) -> Result<Vec<Change>, Unreadable> {
        let version = revision.to_string();
        let watch = self.pods.watch(&WatchParams::default(), &version).await;
        let mut watch = watch.unwrap().boxed();
        let mut changes = Vec::new();
        while changes.len() < count {
            changes.push(match watch.next().await.unwrap().unwrap() {
                WatchEvent::Added(pod) => change("added", &pod),
                WatchEvent::Modified(pod) => change("modified", &pod),
                WatchEvent::Deleted(pod) => change("deleted", &pod),
                WatchEvent::Error(status) if status.code == 410 => {
                    return Err(Unreadable::Compacted);
                }
                other => panic!("{other:?}"),
            });
        }
        Ok(changes)
    }

    async fn compact(&self) {
        self.cluster.compact();
    }
}
