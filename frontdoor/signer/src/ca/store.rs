//! Where the CA's key is: in a Secret that the signers keep, or in files that somebody else keeps. The
//! Secret has at most two CAs: the one that issues, and the next, which issues once all parts know it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use podgate_identity::kubernetes::{self, ObjectError, Reference};

use super::authority::{self, Authority, Made};
use crate::clock::now;
use crate::config::{Files, Source};

/// Keys of the Secret: certificate and key of the CA that issues, and of the next.
const CURRENT: (&str, &str) = ("tls.crt", "tls.key");
const NEXT: (&str, &str) = ("next.crt", "next.key");
/// The annotation by which an administrator asks for a new CA.
const ROTATE: &str = "podgate/rotate";

/// Why the CA's keys cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the CA's {what}: {source}")]
    Authority {
        what: &'static str,
        source: authority::Error,
    },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
}

type Keys = Vec<Arc<Authority>>;

/// Reads the CAs whose keys are here, the newest first.
pub(super) async fn read(client: &Client, source: &Source, before: &Keys) -> Result<Keys, Error> {
    match source {
        Source::Secret(of) => {
            let secret = kubernetes::change(client, of, |secret| fill(of, secret)).await?;
            let pairs = [("next", NEXT), ("current", CURRENT)];
            let keys = pairs.into_iter().filter(|(_, pair)| has(&secret, *pair));
            keys.map(|(what, pair)| one(&secret, what, pair)).collect()
        }
        Source::Files(files) => {
            let read = Arc::new(files_authority(files)?);
            // The previous CA is kept, and issues until all parts know the new one.
            let others = before.iter().filter(|known| !same(known, &read)).cloned();
            let others: Keys = others.take(1).collect();
            Ok([read].into_iter().chain(others).collect())
        }
    }
}

/// Makes `issuer`, the newest CA, the current one, and throws the previous one away.
pub(super) async fn promote(
    client: &Client,
    source: &Source,
    keys: &mut Keys,
    issuer: &Arc<Authority>,
) -> Result<(), Error> {
    if let Source::Secret(of) = source {
        kubernetes::change::<Secret, Error>(client, of, |secret| {
            let is_next = has(secret, NEXT) && same(&*one(secret, "next", NEXT)?, issuer);
            let data = secret.data.get_or_insert_default();
            if is_next {
                for (from, to) in [(NEXT.0, CURRENT.0), (NEXT.1, CURRENT.1)] {
                    if let Some(value) = data.remove(from) {
                        data.insert(to.to_owned(), value);
                    }
                }
                tracing::info!(secret = %of, "the next CA issues from now on");
            }
            Ok(is_next)
        })
        .await?;
    }
    keys.retain(|key| same(key, issuer));
    Ok(())
}

/// Makes a CA if there is none, and a next one if it is due or was asked for.
fn fill(of: &Reference, secret: &mut Secret) -> Result<bool, Error> {
    if secret.data.as_ref().is_none_or(|data| data.is_empty()) {
        tracing::info!(secret = %of, "making a CA");
        put(secret, CURRENT)?;
        return Ok(true);
    }
    if has(secret, NEXT) {
        return Ok(false);
    }
    let annotations = secret.metadata.annotations.as_mut();
    let asked = annotations.is_some_and(|all| all.remove(ROTATE).is_some());
    let old = one(secret, "current", CURRENT).is_ok_and(|current| current.is_old(now()));
    if asked || old {
        tracing::info!(secret = %of, asked, "making a next CA");
        put(secret, NEXT)?;
    }
    Ok(asked || old)
}

fn put(secret: &mut Secret, pair: (&str, &str)) -> Result<(), Error> {
    let Made { certificate, key } = authority::make().map_err(|source| Error::Authority {
        what: "key",
        source,
    })?;
    let data = secret.data.get_or_insert_default();
    for (name, text) in [(pair.0, certificate), (pair.1, key)] {
        data.insert(name.to_owned(), ByteString(text.into_bytes()));
    }
    Ok(())
}

fn has(secret: &Secret, pair: (&str, &str)) -> bool {
    let data = secret.data.as_ref();
    // A missing `current` is an error, which `one` reports.
    pair == CURRENT || data.is_some_and(|data| data.contains_key(pair.0))
}

fn one(secret: &Secret, what: &'static str, pair: (&str, &str)) -> Result<Arc<Authority>, Error> {
    let text = |key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        value.map_or(&[][..], |value| &value.0)
    };
    let read = Authority::read(text(pair.0), text(pair.1));
    let read = read.map_err(|source| Error::Authority { what, source })?;
    Ok(Arc::new(read))
}

fn files_authority(files: &Files) -> Result<Authority, Error> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })
    };
    let read = Authority::read(&read(&files.cert)?, &read(&files.key)?);
    let what = "files";
    read.map_err(|source| Error::Authority { what, source })
}

fn same(one: &Authority, other: &Authority) -> bool {
    one.certificate() == other.certificate()
}
