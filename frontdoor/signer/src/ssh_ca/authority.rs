//! The key that signs users' certificates: in a file that somebody keeps, or in a Secret that the
//! signer fills if it is empty. Either may be replaced while the signer runs; the next look sees it.
//! While the Secret is missing, everything else is served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use podgate_identity::kubernetes::{self, ObjectError, Reference};
use podgate_process::reload::Reloaded;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};

use super::config::Ca;
use super::trusted;

/// Keys of the Secret: the private key, under the name that ssh-keygen gives its file, and its public
/// half. The bundle has the public half, too.
const KEY: &str = "user_ca";
const PUBLIC: &str = "user_ca.pub";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{origin} contains no OpenSSH private key: {reason}")]
    Key { origin: String, reason: String },
    #[error("cannot make a key: {0}")]
    Make(#[from] ssh_key::Error),
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Object(#[from] ObjectError),
}

/// Where the key is, and its last value.
pub(super) enum Authority {
    /// `None` until the key was read.
    Secret(Reference, Mutex<Option<Arc<PrivateKey>>>),
    File(Reloaded<PrivateKey, Error>),
}

impl Authority {
    pub(super) fn new(ca: Ca) -> Result<Self, Error> {
        match ca {
            Ca::File(path) => {
                let read = path.clone();
                Reloaded::load(vec![path], move || of_file(&read)).map(Self::File)
            }
            Ca::Secret(secret) => Ok(Self::Secret(secret, Mutex::default())),
        }
    }

    pub(super) async fn current(&self) -> Option<Arc<PrivateKey>> {
        match self {
            Self::Secret(_, key) => held(key).clone(),
            Self::File(key) => Some(key.current().await),
        }
    }

    /// Reads the key that the Secret or file holds now. It signs from now on.
    async fn look(&self, client: &kube::Client) -> Result<Arc<PrivateKey>, Error> {
        let (secret, key) = match self {
            Self::File(key) => return Ok(key.current().await),
            Self::Secret(secret, key) => (secret, key),
        };
        let found = Arc::new(of_secret(client, secret).await?);
        let before = held(key).replace(Arc::clone(&found));
        if before.is_some_and(|before| *before != *found) {
            let fingerprint = found.fingerprint(HashAlg::Sha256);
            tracing::info!(%secret, %fingerprint, "another key signs users' certificates now");
        }
        Ok(found)
    }

    /// Reads the key, and puts its public half into the bundle, which frontdoors mount. Earlier keys
    /// stay there until their certificates, which are valid for `lasts` at most, have expired.
    pub(super) async fn keep(
        &self,
        client: &kube::Client,
        to: &Reference,
        lasts: SignedDuration,
    ) -> Result<(), Error> {
        let line = public(&*self.look(client).await?)?;
        let put = |bundle: &mut ConfigMap| {
            let data = bundle.data.get_or_insert_default();
            let before = data.get(PUBLIC).map(String::as_str);
            let text = trusted::text(before.unwrap_or_default(), &line, Timestamp::now(), lasts);
            let changed = before != Some(&text);
            data.insert(PUBLIC.to_owned(), text);
            Ok::<_, Error>(changed)
        };
        kubernetes::change(client, to, put).await?;
        Ok(())
    }
}

async fn of_secret(client: &kube::Client, secret: &Reference) -> Result<PrivateKey, Error> {
    let data = kubernetes::fill_secret::<Error>(client, secret, make).await?;
    let text = data.get(KEY).map(Vec::as_slice).unwrap_or_default();
    parse(text, &format!("{KEY} of Secret {secret}"))
}

fn make() -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut seed = [0; Ed25519PrivateKey::BYTE_SIZE];
    getrandom::fill(&mut seed)?;
    let pair = Ed25519Keypair::from_seed(&seed);
    let key = PrivateKey::new(KeypairData::Ed25519(pair), "podgate")?;
    let text = key.to_openssh(LineEnding::LF)?;
    tracing::info!("made the CA of users' certificates");
    Ok(BTreeMap::from([
        (KEY.to_owned(), text.as_bytes().to_vec()),
        (PUBLIC.to_owned(), public(&key)?.into_bytes()),
    ]))
}

fn public(key: &PrivateKey) -> Result<String, Error> {
    Ok(format!("{}\n", key.public_key().to_openssh()?))
}

fn held(key: &Mutex<Option<Arc<PrivateKey>>>) -> MutexGuard<'_, Option<Arc<PrivateKey>>> {
    key.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_file(path: &Path) -> Result<PrivateKey, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, &path.display().to_string())
}

fn parse(text: &[u8], origin: &str) -> Result<PrivateKey, Error> {
    let wrong = |reason: String| Error::Key {
        origin: origin.to_owned(),
        reason,
    };
    let key = PrivateKey::from_openssh(text).map_err(|error| wrong(error.to_string()))?;
    if key.is_encrypted() {
        return Err(wrong("it has a passphrase".to_owned()));
    }
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        _ => Err(wrong("it is neither ed25519 nor ecdsa".to_owned())),
    }
}
