//! Host keys: read, or made at the first start. If several frontdoors share a Secret, the first one
//! makes the key for all.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use podgate_identity::kubernetes::{self, Reference};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, PublicKey, key::safe_rng};

/// The name of a key that was made in a shared Secret.
const SHARED: &str = "ssh_host_ed25519_key";

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} does not exist and cannot be created: {source}")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} is not an OpenSSH private key: {source}")]
    Key {
        path: PathBuf,
        source: russh::keys::ssh_key::Error,
    },
    #[error(transparent)]
    Secret(#[from] kubernetes::ObjectError),
    #[error("{secret} contains no host key; its name must be like {SHARED}")]
    NoKey { secret: Reference },
    #[error("no host key can be made: {0}")]
    Make(#[from] russh::keys::ssh_key::Error),
    #[error("{path}: a host key must be ed25519 or ecdsa")]
    Kind { path: PathBuf },
}

/// Reads the keys, and makes those that are missing.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Vec<PrivateKey>, Error> {
    paths
        .iter()
        .map(|path| {
            if path.exists() {
                read(path)
            } else {
                make(path)
            }
        })
        .collect()
}

/// The keys of a Secret that all frontdoors share. If it is empty, a key is made.
pub(crate) async fn shared(
    client: &kubernetes::Client,
    secret: &Reference,
) -> Result<Vec<PrivateKey>, Error> {
    let fill = || {
        tracing::info!(%secret, "making a host key");
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)?;
        let text = key.to_openssh(LineEnding::LF)?;
        Ok([(SHARED.to_owned(), text.as_bytes().to_vec())].into())
    };
    let ask = async || kubernetes::fill_secret::<Error>(client, secret, fill).await;
    let data = kubernetes::patiently(ask).await?;
    let keys = data.iter().filter(|(name, _)| name.ends_with("_key"));
    let keys = keys.map(|(name, text)| {
        let place = Path::new(&secret.namespace).join(&secret.name).join(name);
        parse(&place, &String::from_utf8_lossy(text))
    });
    let keys = keys.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        let secret = secret.clone();
        return Err(Error::NoKey { secret });
    }
    Ok(keys)
}

/// The public halves, in the format of RFC 4253 §6.6.
pub(crate) fn public(keys: &[PrivateKey]) -> Result<Vec<Bytes>, Error> {
    let blobs = keys.iter().map(|key| key.public_key().to_bytes());
    blobs.map(|blob| Ok(blob?.into())).collect()
}

/// Logs the public halves, in full, for users' known_hosts.
pub(crate) fn tell(keys: &[PrivateKey]) {
    for key in keys {
        // Without the comment, which is the private file's.
        match PublicKey::from(key.public_key().key_data().clone()).to_openssh() {
            Ok(key) => tracing::info!(key, "host key"),
            Err(error) => tracing::warn!(%error, "a host key cannot be written"),
        }
    }
}

fn read(path: &Path) -> Result<PrivateKey, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<PrivateKey, Error> {
    let key = PrivateKey::from_openssh(text).map_err(|source| Error::Key {
        path: path.to_owned(),
        source,
    })?;
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        _ => Err(Error::Kind {
            path: path.to_owned(),
        }),
    }
}

/// Writes a whole file, and only then gives it its name. Another start at the same time finds it, and
/// neither overwrites the other's.
fn make(path: &Path) -> Result<PrivateKey, Error> {
    let failed = |source| Error::Write {
        path: path.to_owned(),
        source,
    };
    let key_error = |source| Error::Key {
        path: path.to_owned(),
        source,
    };
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(key_error)?;
    let text = key.to_openssh(LineEnding::LF).map_err(key_error)?;
    // Containers that share the folder may have the same process ids.
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error)))?;
    let draft = path.with_extension(format!("{:016x}.new", u64::from_be_bytes(random)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| std::fs::hard_link(&draft, path));
    // The draft may be missing; `written` has the result.
    let _ = std::fs::remove_file(&draft);
    match written {
        Ok(()) => {
            tracing::info!(path = %path.display(), "host key made");
            Ok(key)
        }
        Err(source) if source.kind() == ErrorKind::AlreadyExists => read(path),
        Err(source) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_absent_key_is_made_once() {
        let dir = std::env::temp_dir().join(format!("podgate-hostkeys-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("key");
        let made = load(std::slice::from_ref(&path)).unwrap();
        let read = load(std::slice::from_ref(&path)).unwrap();
        assert_eq!(
            made.first().unwrap().public_key(),
            read.first().unwrap().public_key()
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::write(&path, "no key").unwrap();
        assert!(matches!(load(&[path]), Err(Error::Key { .. })));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
