//! Objects that a part keeps at the API server. Whoever installs the part creates them empty, so the
//! part needs only get and update, by name. An update carries the resource version: if two parts change
//! an object at once, one fails, reads the other's change and tries again.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::reference::Reference;

/// How many times another writer may come first before this gives up.
const CONFLICTS: usize = 10;
/// The first pause before a server that did not answer is asked again; it doubles each time.
const PAUSE: Duration = Duration::from_millis(500);
/// How many times a server is asked.
const ATTEMPTS: usize = 5;

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{0}: {1}")]
    Api(Reference, kube::Error),
    #[error("{0} keeps being changed by others")]
    Conflicts(Reference),
}

/// Reads the object and lets `change` edit it; writes it if `change` returns true. Returns the object as
/// it is afterwards.
pub async fn change<K, E>(
    client: &Client,
    of: &Reference,
    mut change: impl FnMut(&mut K) -> Result<bool, E>,
) -> Result<K, E>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + Debug + Serialize + DeserializeOwned,
    E: From<Error>,
{
    let api = Api::<K>::namespaced(client.clone(), &of.namespace);
    let failed = |error| E::from(Error::Api(of.clone(), error));
    for _ in 0..CONFLICTS {
        let mut object = api.get(&of.name).await.map_err(failed)?;
        if !change(&mut object)? {
            return Ok(object);
        }
        match api.replace(&of.name, &PostParams::default(), &object).await {
            Ok(object) => return Ok(object),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(E::from(Error::Conflicts(of.clone())))
}

/// The data of a Secret. If it is empty, `fill` makes the data first. If several parts share the
/// Secret, the first one fills it for all.
pub async fn fill_secret<E: From<Error>>(
    client: &Client,
    of: &Reference,
    fill: impl Fn() -> Result<BTreeMap<String, Vec<u8>>, E>,
) -> Result<BTreeMap<String, Vec<u8>>, E> {
    let filled = change::<Secret, E>(client, of, |secret| {
        let empty = secret.data.as_ref().is_none_or(BTreeMap::is_empty);
        if empty {
            let data = fill()?.into_iter();
            secret.data = Some(data.map(|(key, value)| (key, ByteString(value))).collect());
        }
        Ok(empty)
    });
    let data = filled.await?.data.unwrap_or_default().into_iter();
    Ok(data.map(|(key, value)| (key, value.0)).collect())
}

/// Asks a few times, since the server may be away for a moment while a part starts.
pub async fn patiently<T, E: std::fmt::Display>(
    mut ask: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => tracing::warn!(%error, "trying again"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    ask().await
}
