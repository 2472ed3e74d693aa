//! Public keys of the users file. A key belongs to one user; one that is weak, or has an option that is
//! not honoured, to none, and says nothing of the others. Nor does a file of a folder that is wrong.

mod entry;

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

use entry::{Entry, entry};
pub(crate) use entry::{KeyError, Refusal};

use super::restrictions::Restrictions;

/// Why the users file is none.
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

/// A user, and the keys' lines.
type Known = (Arc<Identity>, Vec<String>);

/// Entries by their keys' fingerprints. A key may stand there more than once, with other options.
#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Fingerprint, Vec<Entry>>,
    /// Keys that let nobody in: whose, the how manieth, and why.
    refused: Vec<(String, usize, KeyError)>,
    /// Of a folder, files that let nobody in, and keys that are two users' and let in neither.
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
                tracing::error!(%reason, "of the folder of users this lets nobody in");
            }
            Ok(table)
        };
        Reloaded::load(vec![path.clone()], move || read(&path)).map(Self)
    }

    pub(super) async fn refresh(&self) {
        self.0.refresh().await;
    }

    /// Files that are not served as they are now.
    pub(super) fn stale(&self) -> usize {
        usize::from(self.0.is_stale()) + self.0.last().wrong.len()
    }

    /// Whose key this is, and what they may do. As at sshd, the first entry that fits is the one.
    pub(crate) fn find(
        &self,
        key: &PublicKey,
        from: IpAddr,
        now: SystemTime,
    ) -> Result<(Identity, Restrictions), Refusal> {
        let table = self.0.last();
        let entries = table.entries.get(&key.fingerprint(HashAlg::Sha256));
        let mut why = Refusal::Unknown;
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
    // One file is one author's, who is told at once. A folder's are several teams', of whom none is to
    // stop what the others give or take away.
    if !folder && let Some(wrong) = table.wrong.drain(..).next() {
        return Err(wrong);
    }
    let one = |entries: &[Entry]| {
        let mut users = entries.iter().map(|entry| &entry.identity.user);
        let first = users.next();
        users.all(|user| Some(user) == first)
    };
    table.entries.retain(|_, entries| one(entries));
    Ok(table)
}

/// The file itself, or those of a folder. Hidden ones are how the kubelet keeps a volume's versions.
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

/// All users of a file, or none.
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
            let (key, entry) = match entry(line, identity) {
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
