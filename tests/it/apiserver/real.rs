//! A kube-apiserver as the tests ask for it: what the stand-in is told directly, it is told by its own
//! API.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{Container, Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource};
use podgate_tests::fixtures::pki::Pki;
use podgate_tests::instruments::eventually::eventually;
use podgate_tests::real::kube_apiserver::KubeApiserver;
use podgate_tests::stand_ins::apiserver::{Rbac, rule, user};
use podgate_tests::stand_ins::cluster::{PodBuilder, pod};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::server::{Server, USERS};

pub(super) struct Real {
    pki: Pki,
    server: KubeApiserver,
    client: Client,
    /// The UIDs that tests gave pods, by namespace and name; the server gives them others.
    uids: Mutex<HashMap<(String, String), String>>,
}

/// Creates an object that may be there already.
async fn create<K>(api: Api<K>, object: &K)
where
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    match api.create(&PostParams::default(), object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        created => drop(created.unwrap()),
    }
}

impl Real {
    fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn namespace(&self, name: &str) {
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        create(Api::all(self.client.clone()), &namespace).await;
    }

    /// Whether a user who is named in the last objects may use them yet.
    async fn may(&self, user: &str, namespace: &str) -> bool {
        let review = json!({"metadata": {}, "spec": {
            "user": user,
            "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": namespace},
        }});
        let review: SubjectAccessReview = serde_json::from_value(review).unwrap();
        let reviews = Api::all(self.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        answer.unwrap().status.unwrap().allowed
    }

    /// Posts a pod in the form that the server takes: with a container, and without the fields that the
    /// server sets.
    async fn post(&self, namespace: &str, mut pod: Pod) {
        self.namespace(namespace).await;
        pod.metadata.uid = None;
        pod.status = None;
        let spec = pod.spec.get_or_insert_default();
        if spec.containers.is_empty() {
            spec.containers.push(Container {
                name: "main".to_owned(),
                image: Some("stand".to_owned()),
                ..Container::default()
            });
        }
        let pods = self.namespaced::<Pod>(namespace);
        pods.create(&PostParams::default(), &pod).await.unwrap();
    }
}

impl Server for Real {
    async fn start() -> Self {
        let pki = Pki::new().unwrap();
        let server = KubeApiserver::start(&pki, &USERS).await.unwrap();
        let real = Self {
            client: server.client().await.unwrap(),
            pki,
            server,
            uids: Mutex::default(),
        };
        real.add(pod("default", "web", "uid-1", "node-a", "127.0.0.1").container("main", "c1"))
            .await;
        real
    }

    fn pki(&self) -> &Pki {
        &self.pki
    }

    fn url(&self) -> String {
        self.server.url().to_owned()
    }

    fn token(&self) -> &str {
        self.server.token()
    }

    async fn add(&self, pod: PodBuilder) {
        let pod = pod.build();
        let namespace = pod.metadata.namespace.clone().unwrap();
        let name = pod.metadata.name.clone().unwrap();
        let uid = pod.metadata.uid.clone().unwrap();
        let phase = pod.status.as_ref().unwrap().phase.clone();
        let pods = self.namespaced::<Pod>(&namespace);
        let key = (namespace.clone(), name.clone());
        let known = self.uids.lock().unwrap().insert(key, uid.clone());
        if known.as_ref() == Some(&uid) {
            let mut changed = pods.get(&name).await.unwrap();
            changed.metadata.labels = pod.metadata.labels;
            pods.replace(&name, &PostParams::default(), &changed)
                .await
                .unwrap();
        } else {
            if known.is_some() {
                let now = DeleteParams::default().grace_period(0);
                pods.delete(&name, &now).await.unwrap();
            }
            self.post(&namespace, pod).await;
        }
        // A new pod is pending, which tests do not mind, and each write is an event to a watch.
        if phase.as_deref() != Some("Running") {
            let mut changed = pods.get(&name).await.unwrap();
            changed.status.get_or_insert_default().phase = phase;
            pods.replace_status(&name, &PostParams::default(), &changed)
                .await
                .unwrap();
        }
    }

    async fn remove(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.uids.lock().unwrap().remove(&key);
        let now = DeleteParams::default().grace_period(0);
        let pods = self.namespaced::<Pod>(namespace);
        pods.delete(name, &now).await.unwrap();
    }

    async fn set_rbac(&self, rbac: Rbac) {
        // The authorizer follows objects of each kind in order, so once it knows these it knows all
        // others.
        let get = [rule(&["get"], &[""], &["pods"])];
        let rbac = rbac
            .cluster_role("seen", &get)
            .bind_everywhere("seen", "seen", &[user("seen-everywhere")])
            .role("default", "seen", &get)
            .bind("default", "seen", "Role/seen", &[user("seen-here")]);
        let client = || self.client.clone();
        for role in &rbac.cluster_roles {
            create(Api::all(client()), role).await;
        }
        for binding in &rbac.cluster_role_bindings {
            create(Api::all(client()), binding).await;
        }
        for role in &rbac.roles {
            let namespace = role.metadata.namespace.as_deref().unwrap();
            self.namespace(namespace).await;
            create(self.namespaced(namespace), role).await;
        }
        for binding in &rbac.role_bindings {
            let namespace = binding.metadata.namespace.as_deref().unwrap();
            self.namespace(namespace).await;
            create(self.namespaced(namespace), binding).await;
        }
        let seen = async || {
            let both =
                self.may("seen-everywhere", "").await && self.may("seen-here", "default").await;
            both.then_some(())
        };
        let within = Duration::from_secs(20);
        eventually("the authorizer to see the objects", within, seen)
            .await
            .unwrap();
    }

    fn enforce(&self, _enforce: bool) {}

    async fn bound_token(&self, audience: &str) -> String {
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        create(self.namespaced("default"), &account).await;
        let mut bb = pod("default", "bb", "uid-bb", "node-a", "127.0.0.1").build();
        let spec = bb.spec.get_or_insert_default();
        spec.service_account_name = Some("default".to_owned());
        self.post("default", bb).await;
        let asked = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "audiences": [audience], "expirationSeconds": 600,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "bb"},
            },
        });
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        let request = http::Request::post(path).body(serde_json::to_vec(&asked).unwrap());
        let answer: Value = self.client.request(request.unwrap()).await.unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    }
}
