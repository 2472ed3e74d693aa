//! Secrets and ConfigMaps: get, and replace by resource version, in the words of kube-apiserver
//! (apiserver, `pkg/registry/generic/registry/store.go`). Some are mounted: their data are files, as a
//! kubelet would write them, but at once. It does not have: create, delete, patch, lists, watches,
//! immutable objects, managed fields.
#![allow(
    clippy::indexing_slicing,
    reason = "what is no object with metadata is refused as it comes"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::answer::{Answer, Failure, object};
use super::asked::Asked;
use super::reviews::posted;

/// What is served, and the kind of each.
const SERVED: [(&str, &str); 2] = [("secrets", "Secret"), ("configmaps", "ConfigMap")];

type Key = (String, String, String);

/// The objects there are.
#[derive(Default)]
pub(super) struct Objects {
    all: BTreeMap<Key, Value>,
    /// Each as it was written, in order; tests write few.
    history: Vec<(Key, Value)>,
    mounts: Vec<(Key, PathBuf)>,
    version: u64,
}

pub(super) fn key(resource: &str, namespace: &str, name: &str) -> Key {
    (resource.to_owned(), namespace.to_owned(), name.to_owned())
}

pub(super) fn serves(asked: &Asked) -> bool {
    asked.group.is_empty()
        && SERVED
            .iter()
            .any(|(resource, _)| *resource == asked.resource)
}

impl Objects {
    /// Adds one without data.
    pub(super) fn add(&mut self, key: Key) {
        let kind = SERVED.iter().find(|(resource, _)| *resource == key.0);
        let kind = kind.map_or("", |(_, kind)| kind);
        let object = json!({
            "kind": kind, "apiVersion": "v1",
            "metadata": {
                "name": key.2, "namespace": key.1, "uid": format!("{}-{}-uid", key.0, key.2),
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
        });
        self.put(key, object);
    }

    /// Takes one as it is, and `stringData` for data.
    pub(super) fn apply(&mut self, mut object: Value) {
        let resource = SERVED.iter().find(|(_, kind)| object["kind"] == *kind);
        let Some((resource, _)) = resource else {
            return;
        };
        let texts = object["stringData"].take();
        for (name, text) in texts.as_object().into_iter().flatten() {
            object["data"][name] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
        }
        let [namespace, name] = ["namespace", "name"].map(|field| {
            let text = object["metadata"][field].as_str();
            text.unwrap_or_default().to_owned()
        });
        object["metadata"]["uid"] = format!("{resource}-{name}-uid").into();
        self.put(key(resource, &namespace, &name), object);
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.all.get(key)
    }

    /// What one has been, the oldest first.
    pub(super) fn history(&self, of: &Key) -> Vec<Value> {
        let all = self.history.iter().filter(|(key, _)| key == of);
        all.map(|(_, object)| object.clone()).collect()
    }

    /// Changes one, as another client would.
    pub(super) fn edit(&mut self, key: &Key, edit: impl FnOnce(&mut Value)) {
        if let Some(mut object) = self.all.get(key).cloned() {
            edit(&mut object);
            self.put(key.clone(), object);
        }
    }

    /// From now on the data are files of a folder.
    pub(super) fn mount(&mut self, key: Key, folder: &Path) {
        self.mounts.push((key.clone(), folder.to_owned()));
        self.write(&key);
    }

    fn put(&mut self, key: Key, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push((key.clone(), object.clone()));
        self.all.insert(key.clone(), object);
        self.write(&key);
    }

    fn write(&self, of: &Key) {
        let data = self
            .all
            .get(of)
            .and_then(|object| object["data"].as_object());
        for (_, folder) in self.mounts.iter().filter(|(key, _)| key == of) {
            for (name, value) in data.into_iter().flatten() {
                let text = value.as_str().unwrap_or_default();
                let bytes = match of.0.as_str() {
                    "secrets" => STANDARD.decode(text).unwrap_or_default(),
                    _ => text.as_bytes().to_vec(),
                };
                // If these cannot be written, a test that reads them fails.
                let draft = folder.join(format!("..{name}"));
                let _ = std::fs::write(&draft, bytes);
                let _ = std::fs::rename(draft, folder.join(name));
            }
        }
    }

    fn update(&mut self, asked: &Asked, mut new: Value) -> Result<Value, Failure> {
        let key = key(&asked.resource, &asked.namespace, &asked.name);
        let old = self.all.get(&key).ok_or_else(|| absent(asked))?.clone();
        if !new["metadata"].is_object() {
            return Err(Failure::bad_request("the object has no metadata"));
        }
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        if name != asked.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                asked.name
            )));
        }
        // Without a resource version the update is unconditional, which both kinds allow.
        let of = new["metadata"]["resourceVersion"]
            .as_str()
            .unwrap_or_default();
        if !of.is_empty() && old["metadata"]["resourceVersion"] != of {
            return Err(conflict(asked));
        }
        for field in ["uid", "creationTimestamp", "resourceVersion", "namespace"] {
            new["metadata"][field] = old["metadata"][field].clone();
        }
        for field in ["kind", "apiVersion"] {
            new[field] = old[field].clone();
        }
        // An update that changes nothing is not written.
        if new != old {
            self.put(key.clone(), new);
        }
        Ok(self.all.get(&key).cloned().unwrap_or_default())
    }
}

/// Answers what is asked of an object.
pub(super) async fn answer(
    objects: &std::sync::Mutex<Objects>,
    asked: &Asked,
    request: Request<Incoming>,
) -> Result<Answer, Failure> {
    match (asked.verb.as_str(), request.method()) {
        ("get", &Method::GET) => {
            let key = key(&asked.resource, &asked.namespace, &asked.name);
            let found = super::lock::lock(objects).get(&key).cloned();
            Ok(object(200, &found.ok_or_else(|| absent(asked))?))
        }
        ("update", _) => {
            let new: Value = posted(request).await?;
            let written = super::lock::lock(objects).update(asked, new)?;
            Ok(object(200, &written))
        }
        _ => Err(Failure::not_allowed()),
    }
}

fn absent(asked: &Asked) -> Failure {
    let Asked { resource, name, .. } = asked;
    Failure::new(404, "NotFound", format!("{resource} \"{name}\" not found"))
        .with(json!({"name": name, "kind": resource}))
}

/// apiserver, `pkg/registry/generic/registry/store.go` (`OptimisticLockErrorMsg`).
fn conflict(asked: &Asked) -> Failure {
    let Asked { resource, name, .. } = asked;
    let message = format!(
        "Operation cannot be fulfilled on {resource} \"{name}\": the object has been modified; \
         please apply your changes to the latest version and try again"
    );
    Failure::new(409, "Conflict", message).with(json!({"name": name, "kind": resource}))
}
