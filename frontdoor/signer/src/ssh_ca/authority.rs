//! A key that signs SSH certificates: in a file that somebody keeps, or in a Secret that the signer
//! fills if it is empty. Either may be replaced while the signer runs; the next look sees it. While the
//! Secret is missing, everything else is served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use podgate_identity::kubernetes::{self, ObjectError, Reference};
use podgate_process::reload::Reloaded;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::certificate::is_supported;
use super::config::Ca;
use super::trusted;

/// The pause between two looks at a CA's key and the bundle, which others change, too.
const LOOK: Duration = Duration::from_secs(10);
/// The pause after a look that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Whom a CA's certificates are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Users,
    Hosts,
}

impl Kind {
    /// The name of its private key in the Secret, which is the name that people give ssh-keygen.
    fn key(self) -> &'static str {
        match self {
            Self::Users => "user_ca",
            Self::Hosts => "host_ca",
        }
    }

    /// The name of its public half, in the Secret and in the bundle.
    fn public(self) -> &'static str {
        match self {
            Self::Users => "user_ca.pub",
            Self::Hosts => "host_ca.pub",
        }
    }

    /// For the log.
    fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Hosts => "hosts",
        }
    }
}

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

/// A CA's key, and what is trusted of it.
pub(crate) struct Authority {
    kind: Kind,
    place: Place,
    /// The lines of the bundle: its public half, and those of earlier keys. `None` until they were written.
    lines: Mutex<Option<Arc<str>>>,
}

/// Where the key is, and its last value.
enum Place {
    /// `None` until the key was read.
    Secret(Reference, Mutex<Option<Arc<PrivateKey>>>),
    File(Reloaded<PrivateKey, Error>),
}

impl Authority {
    pub(crate) fn new(kind: Kind, ca: Ca) -> Result<Self, Error> {
        let place = match ca {
            Ca::File(path) => {
                let read = path.clone();
                Place::File(Reloaded::load(vec![path], move || of_file(&read))?)
            }
            Ca::Secret(secret) => Place::Secret(secret, Mutex::default()),
        };
        Ok(Self {
            kind,
            place,
            lines: Mutex::default(),
        })
    }

    pub(crate) async fn current(&self) -> Option<Arc<PrivateKey>> {
        match &self.place {
            Place::Secret(_, key) => held(key).clone(),
            Place::File(key) => Some(key.current().await),
        }
    }

    /// The public keys that are trusted now, a line each, with comments.
    pub(crate) fn lines(&self) -> Option<Arc<str>> {
        held(&self.lines).clone()
    }

    /// Follows the key, and keeps its public half in the bundle, whose certificates are valid for
    /// `lifetime` at most. Does not return.
    pub(crate) async fn follow(
        &self,
        client: &kube::Client,
        bundle: &Reference,
        lifetime: Duration,
    ) {
        // Another signer may sign with the old key until its next look.
        let lasts = lifetime.saturating_add(LOOK);
        let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX);
        loop {
            let next = match self.keep(client, bundle, lasts).await {
                Ok(()) => LOOK,
                Err(error) => {
                    let (of, serves) = (self.kind.as_str(), self.current().await.is_some());
                    tracing::warn!(%error, of, serves, "a CA of SSH certificates or the bundle cannot be read or updated");
                    AGAIN
                }
            };
            tokio::time::sleep(next).await;
        }
    }

    /// Reads the key that the Secret or file holds now. It signs from now on.
    async fn look(&self, client: &kube::Client) -> Result<Arc<PrivateKey>, Error> {
        let (secret, key) = match &self.place {
            Place::File(key) => return Ok(key.current().await),
            Place::Secret(secret, key) => (secret, key),
        };
        let found = Arc::new(of_secret(client, secret, self.kind).await?);
        let before = held(key).replace(Arc::clone(&found));
        if before.is_some_and(|before| *before != *found) {
            let fingerprint = found.fingerprint(HashAlg::Sha256);
            let of = self.kind.as_str();
            tracing::info!(%secret, %fingerprint, of, "another key signs SSH certificates now");
        }
        Ok(found)
    }

    /// Reads the key, and puts its public half into the bundle. Earlier keys stay there until their
    /// certificates, which are valid for `lasts` at most, have expired.
    async fn keep(
        &self,
        client: &kube::Client,
        to: &Reference,
        lasts: SignedDuration,
    ) -> Result<(), Error> {
        let line = public(&*self.look(client).await?)?;
        let name = self.kind.public();
        let mut lines = String::new();
        let put = |bundle: &mut ConfigMap| {
            let data = bundle.data.get_or_insert_default();
            let before = data.get(name).map(String::as_str);
            let text = trusted::text(before.unwrap_or_default(), &line, Timestamp::now(), lasts);
            let changed = before != Some(&text);
            lines.clone_from(&text);
            data.insert(name.to_owned(), text);
            Ok::<_, Error>(changed)
        };
        kubernetes::change(client, to, put).await?;
        *held(&self.lines) = Some(lines.into());
        Ok(())
    }
}

async fn of_secret(
    client: &kube::Client,
    secret: &Reference,
    kind: Kind,
) -> Result<PrivateKey, Error> {
    let data = kubernetes::fill_secret::<Error>(client, secret, || make(kind)).await?;
    let text = data.get(kind.key()).map(Vec::as_slice).unwrap_or_default();
    parse(text, &format!("{} of Secret {secret}", kind.key()))
}

fn make(kind: Kind) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut seed = [0; Ed25519PrivateKey::BYTE_SIZE];
    getrandom::fill(&mut seed)?;
    let pair = Ed25519Keypair::from_seed(&seed);
    let key = PrivateKey::new(KeypairData::Ed25519(pair), "podgate")?;
    let text = key.to_openssh(LineEnding::LF)?;
    tracing::info!(of = kind.as_str(), "made a CA of SSH certificates");
    Ok(BTreeMap::from([
        (kind.key().to_owned(), text.as_bytes().to_vec()),
        (kind.public().to_owned(), public(&key)?.into_bytes()),
    ]))
}

fn public(key: &PrivateKey) -> Result<String, Error> {
    Ok(format!("{}\n", key.public_key().to_openssh()?))
}

fn held<T: ?Sized>(value: &Mutex<Option<Arc<T>>>) -> MutexGuard<'_, Option<Arc<T>>> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
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
    match is_supported(&key.algorithm()) {
        true => Ok(key),
        false => Err(wrong("it is neither ed25519 nor ecdsa".to_owned())),
    }
}
