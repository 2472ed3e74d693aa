//! Objects that a part keeps: each is made empty by whoever installs the part, so get and update on
//! its name are all that the part may need. It is replaced by its resource version: of two who change
//! it at once one reads again what the other wrote.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::{ByteString, NamespaceResourceScope};
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Reference;

/// Others that come first, at the most.
const CONFLICTS: usize = 10;
/// Before a server that did not answer is asked again; then twice as long each time.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is asked at a start.
const ATTEMPTS: usize = 5;

/// Why an object could not be kept.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("{0}: {1}")]
    Api(Reference, kube::Error),
    #[error("{0} is changed by others all the time")]
    Conflicts(Reference),
}

/// Reads the object, and writes what `change` makes of it, if that says so. Returns it as it is then.
pub(crate) async fn change<K, E>(
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

/// What a Secret holds, by `fill` where it holds nothing. Whoever fills it first has filled it for all.
pub(crate) async fn fill_secret<E: From<Error>>(
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

/// Asks a few times, for a server that may be away for a moment as a part starts.
pub(crate) async fn patiently<T, E: std::fmt::Display>(
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
