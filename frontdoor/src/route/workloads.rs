//! Which pods an object runs or serves, by its own selector, as `kubectl exec` finds them
//! (polymorphichelpers.SelectorsForObject). The selector is read for a session, and serves for a few
//! seconds more.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Resource;
use kube::api::Api;
use podgate_identity::kubernetes::{SHORT_TIMEOUT, within};
use serde::de::DeserializeOwned;

use super::answers;
use crate::login_name::{Kind, Requirement, Selector, UnknownRequirement};

/// Why an object's pods are not known.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unselectable {
    #[error("it is of type ExternalName and has no pods")]
    External,
    #[error("it has no selector, so its pods are not known")]
    NoSelector,
    #[error(transparent)]
    Unknown(#[from] UnknownRequirement),
}

/// An object's selector, or why it has none.
pub(super) type Selects = Result<Selector, Unselectable>;

/// Its size in bytes, roughly.
pub(super) fn size(selects: &Selects) -> usize {
    match selects {
        Ok(selector) => selector.size(),
        Err(Unselectable::Unknown(unknown)) => unknown.key.len() + unknown.operator.len(),
        Err(Unselectable::External | Unselectable::NoSelector) => 0,
    }
}

/// Reads an object, and what it selects.
pub(super) async fn read(
    client: &kube::Client,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<Selects, answers::Error> {
    let selector = match kind {
        Kind::Service => {
            let spec = get::<Service>(client, namespace, name).await?.spec;
            return Ok(service(spec.unwrap_or_default()));
        }
        Kind::Deployment => {
            let spec = get::<Deployment>(client, namespace, name).await?.spec;
            spec.map(|spec| spec.selector)
        }
        Kind::StatefulSet => {
            let spec = get::<StatefulSet>(client, namespace, name).await?.spec;
            spec.map(|spec| spec.selector)
        }
        Kind::DaemonSet => {
            let spec = get::<DaemonSet>(client, namespace, name).await?.spec;
            spec.map(|spec| spec.selector)
        }
        Kind::ReplicaSet => {
            let spec = get::<ReplicaSet>(client, namespace, name).await?.spec;
            spec.map(|spec| spec.selector)
        }
        Kind::Job => {
            let spec = get::<Job>(client, namespace, name).await?.spec;
            spec.and_then(|spec| spec.selector)
        }
    };
    Ok(selector.map_or(Err(Unselectable::NoSelector), workload))
}

async fn get<K>(client: &kube::Client, namespace: &str, name: &str) -> Result<K, answers::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = within(SHORT_TIMEOUT, || api.get_opt(name)).await?;
    found.ok_or(answers::Error::Absent)
}

fn workload(selector: LabelSelector) -> Selects {
    let expressions = selector.match_expressions.into_iter().flatten();
    let expressions = expressions
        .map(|one| Requirement::new(one.key, &one.operator, one.values.unwrap_or_default()));
    Ok(Selector::of_workload(
        selector.match_labels.unwrap_or_default(),
        expressions.collect::<Result<_, _>>()?,
    ))
}

fn service(spec: k8s_openapi::api::core::v1::ServiceSpec) -> Selects {
    if spec.type_.as_deref() == Some("ExternalName") {
        return Err(Unselectable::External);
    }
    match Selector::of_service(spec.selector.unwrap_or_default()) {
        Selector::Nothing => Err(Unselectable::NoSelector),
        selector => Ok(selector),
    }
}
