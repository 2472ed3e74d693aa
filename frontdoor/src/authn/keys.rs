//! Public keys of the users file. A key belongs to one user; one that is weak, or has an option that is
//! not honoured, to none, and says nothing of the others.

mod entry;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use podgate_proto::reload::Reloaded;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::{HashAlg, PublicKey};
use serde::Deserialize;

use entry::{Entry, entry};
pub use entry::{KeyError, Refusal};

use super::names;
use super::restrictions::Restrictions;
use crate::config::Names;
use crate::identity::{Identity, Source};

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
        reason: names::Error,
    },
    #[error("{path}: user {user:?}: key {number}: belongs to another user, too")]
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

/// Entries by their keys' fingerprints. A key may stand there more than once, with other options.
#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Fingerprint, Vec<Entry>>,
    /// Keys that let nobody in: whose, the how manieth, and why.
    refused: Vec<(String, usize, KeyError)>,
}

/// The users file, or a folder of such files, followed as it changes.
#[derive(Debug)]
pub struct Users(Reloaded<Table, Error>);

impl Users {
    /// Reads it for the first time.
    pub fn load(path: PathBuf, names: Names) -> Result<Self, Error> {
        let read = move |path: &Path| {
            let table = read(path, &names)?;
            for (user, number, reason) in &table.refused {
                tracing::error!(user, number, %reason, ?path, "a key is refused");
            }
            Ok(table)
        };
        Reloaded::load(vec![path.clone()], move || read(&path)).map(Self)
    }

    /// Whose key this is, and what they may do. As at sshd, the first entry that fits is the one.
    pub fn find(
        &self,
        key: &PublicKey,
        from: IpAddr,
        now: SystemTime,
    ) -> Result<(Identity, Restrictions), Refusal> {
        let table = self.0.current();
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
    for file in files(path)? {
        add(&file, names, &mut table)?;
    }
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

fn add(path: &Path, names: &Names, table: &mut Table) -> Result<(), Error> {
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
    for user in users {
        let User {
            name,
            groups,
            extra,
            keys,
        } = user;
        let identity = names
            .identity(&name, &groups, extra, Source::Key)
            .map_err(|reason| Error::User {
                path: path.to_owned(),
                user: name,
                reason,
            })?;
        let identity = Arc::new(identity);
        for (line, number) in keys.iter().zip(1..) {
            let (key, entry) = match entry(line, &identity) {
                Ok(read) => read,
                Err(reason) => {
                    table.refused.push((identity.user.clone(), number, reason));
                    continue;
                }
            };
            let entries = table
                .entries
                .entry(key.fingerprint(HashAlg::Sha256))
                .or_default();
            if entries.iter().any(|e| e.identity.user != identity.user) {
                return Err(Error::Shared {
                    path: path.to_owned(),
                    user: identity.user.clone(),
                    number,
                });
            }
            entries.push(entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
