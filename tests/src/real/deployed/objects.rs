//! Rendered objects, by kind and name.

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::stand_ins::apiserver::Rbac;

/// All objects of one rendering.
#[derive(Clone, Debug)]
pub struct Objects(Vec<Value>);

impl Objects {
    /// Of objects in whatever order. Those without a namespace are in that of the release, as Helm
    /// has them.
    pub fn new(mut objects: Vec<Value>, namespace: &str) -> Self {
        for object in &mut objects {
            let kind = object.get("kind").and_then(Value::as_str);
            let of_cluster = kind.is_some_and(|kind| kind.starts_with("Cluster"));
            let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
            if let (Some(metadata), false) = (metadata, of_cluster) {
                metadata.entry("namespace").or_insert(namespace.into());
            }
        }
        Self(objects)
    }

    /// All of them.
    pub fn all(&self) -> &[Value] {
        &self.0
    }

    /// The one of a kind and name.
    ///
    /// # Errors
    /// When there is none, or it is not of the type.
    pub fn one<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Result<T> {
        let named = |object: &&Value| {
            let metadata = object.get("metadata");
            metadata.and_then(|metadata| metadata.get("name")) == Some(&Value::from(name))
        };
        let mut of_kind = self.of_kind(kind);
        let found = of_kind.find(named);
        let found = found.with_context(|| format!("the chart has no {kind} {name}"))?;
        Ok(serde_json::from_value(found.clone())?)
    }

    /// What they let whom do.
    ///
    /// # Errors
    /// When one is not of its type.
    pub fn rbac(&self) -> Result<Rbac> {
        Ok(Rbac {
            roles: self.every::<Role>("Role")?,
            cluster_roles: self.every::<ClusterRole>("ClusterRole")?,
            role_bindings: self.every::<RoleBinding>("RoleBinding")?,
            cluster_role_bindings: self.every::<ClusterRoleBinding>("ClusterRoleBinding")?,
        })
    }

    /// All of a kind.
    ///
    /// # Errors
    /// When one is not of the type.
    pub fn every<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let read = |object: &Value| Ok(serde_json::from_value(object.clone())?);
        self.of_kind(kind).map(read).collect()
    }

    fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> {
        let kind = Value::from(kind);
        self.0
            .iter()
            .filter(move |object| object.get("kind") == Some(&kind))
    }
}
