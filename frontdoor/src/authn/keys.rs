//! Public keys of the users file, or of a folder of such files. A key belongs to one user. A key that
//! is weak or has an unsupported option lets nobody in, and the other keys are not affected. A wrong
//! file in a folder does not affect the other files either.

mod authorized_key;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use podgate_identity::{Identity, NameError, Names, Source};
use podgate_process::reload::Reloaded;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::{HashAlg, PublicKey};
use serde::Deserialize;

use authorized_key::AuthorizedKey;
pub(crate) use authorized_key::{KeyError, KeyRefusal};

use super::restrictions::Restrictions;

/// Why a users file cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Yaml { path: PathBuf, reason: String },
    #[error("{path}: user {user:?}: {reason}")]
    User {
        path: PathBuf,
        user: String,
        reason: NameError,
    },
    #[error("{path}: user {user:?}: key {number}: also belongs to another user")]
    Shared {
        path: PathBuf,
        user: String,
        number: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    keys: Vec<String>,
}

/// A user, and the lines of its keys.
type Known = (Arc<Identity>, Vec<String>);

/// Entries by key fingerprint. A key may occur several times, with different options.
#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Fingerprint, Vec<AuthorizedKey>>,
    /// Keys that let nobody in: user, key number, reason.
    refused: Vec<(String, usize, KeyError)>,
    /// In a folder: files that let nobody in, and keys that two users have, which let in neither.
    wrong: Vec<Error>,
}

/// The users file, or a folder of such files, followed as it changes.
#[derive(Debug)]
pub(crate) struct Users(Reloaded<Table, Error>);

impl Users {
    /// Reads it for the first time.
    pub(crate) fn load(path: PathBuf, names: Names) -> Result<Self, Error> {
        let read = move |path: &Path| {
            let table = read(path, &names)?;
            for (user, number, reason) in &table.refused {
                tracing::error!(user, number, %reason, ?path, "a key is refused");
            }
            for reason in &table.wrong {
                tracing::error!(%reason, "a file or key in the folder of users lets nobody in");
            }
            Ok(table)
        };
        Reloaded::load(vec![path.clone()], move || read(&path)).map(Self)
    }

    pub(super) async fn refresh(&self) {
        self.0.refresh().await;
    }

    /// How many files are not in force as they are now.
    pub(super) fn stale(&self) -> usize {
        usize::from(self.0.is_stale()) + self.0.last().wrong.len()
    }

    /// The user of this key, and the restrictions. As in sshd, the first entry that fits counts.
    pub(crate) fn find(
        &self,
        key: &PublicKey,
        from: IpAddr,
        now: SystemTime,
    ) -> Result<(Identity, Restrictions), KeyRefusal> {
        let table = self.0.last();
        let entries = table.entries.get(&key.fingerprint(HashAlg::Sha256));
        let mut why = KeyRefusal::Unknown;
        for entry in entries.into_iter().flatten() {
            match entry.hold(from, now) {
                Ok(()) => return Ok((Identity::clone(&entry.identity), entry.restrictions())),
                Err(refusal) => why = refusal,
            }
        }
        Err(why)
    }
}

fn read(path: &Path, names: &Names) -> Result<Table, Error> {
    let mut table = Table::default();
    let folder = path.is_dir();
    for file in files(path)? {
        match users(&file, names) {
            Ok(users) => users.iter().for_each(|user| table.add(&file, user)),
            Err(wrong) => table.wrong.push(wrong),
        }
    }
    // A single file has one author, who learns of an error at once. A folder has files of several
    // teams, and one team's error must not stop the others.
    if !folder && let Some(wrong) = table.wrong.drain(..).next() {
        return Err(wrong);
    }
    let one = |entries: &[AuthorizedKey]| {
        let mut users = entries.iter().map(|entry| &entry.identity.user);
        let first = users.next();
        users.all(|user| Some(user) == first)
    };
    table.entries.retain(|_, entries| one(entries));
    Ok(table)
}

/// The file itself, or the files of a folder. Hidden ones are skipped: the kubelet keeps the versions
/// of a volume in them.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Reads all users of a file; a single error fails.
fn users(path: &Path, names: &Names) -> Result<Vec<Known>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let users: Vec<User> = serde_saphyr::from_str(&text).map_err(|error| {
        let reason = error.to_string();
        Error::Yaml {
            path: path.to_owned(),
            reason: reason.lines().next().unwrap_or_default().to_owned(),
        }
    })?;
    let users = users.into_iter().map(|user| {
        let User {
            name,
            groups,
            extra,
            keys,
        } = user;
        match names.identity(&name, &groups, extra, Source::Key) {
            Ok(identity) => Ok((Arc::new(identity), keys)),
            Err(reason) => Err(Error::User {
                path: path.to_owned(),
                user: name,
                reason,
            }),
        }
    });
    users.collect()
}

impl Table {
    fn add(&mut self, path: &Path, (identity, keys): &Known) {
        for (line, number) in keys.iter().zip(1..) {
            let user = || identity.user.clone();
            let (key, entry) = match authorized_key::parse(line, identity) {
                Ok(read) => read,
                Err(reason) => {
                    self.refused.push((user(), number, reason));
                    continue;
                }
            };
            let fingerprint = key.fingerprint(HashAlg::Sha256);
            let entries = self.entries.entry(fingerprint).or_default();
            if entries.iter().any(|e| e.identity.user != identity.user) {
                self.wrong.push(Error::Shared {
                    path: path.to_owned(),
                    user: user(),
                    number,
                });
            }
            entries.push(entry);
        }
    }
}

#[cfg(test)]
mod tests;
