//! Public keys of the users file. A key belongs to one user; a weak key to none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use podgate_proto::reload::Reloaded;
use russh::keys::ssh_key::authorized_keys::Entry;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use serde::Deserialize;

use crate::identity::{Identity, Source};

/// Bits of an RSA key, at the least (NIST SP 800-131A).
const MIN_RSA_BITS: usize = 2048;

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
    #[error("{path}: user {user:?}: key {number}: {reason}")]
    Key {
        path: PathBuf,
        user: String,
        number: usize,
        reason: String,
    },
    #[error("{path}: user {user:?}: names and groups that begin with system: are Kubernetes' own")]
    System { path: PathBuf, user: String },
    #[error("{path}: a user has no name")]
    Nameless { path: PathBuf },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
}

/// Users by the SHA-256 fingerprint of their keys.
type Table = HashMap<String, Arc<Identity>>;

/// The users file, followed as it changes.
#[derive(Debug)]
pub struct Users(Reloaded<Table, Error>);

impl Users {
    /// Reads the file for the first time.
    pub fn load(path: PathBuf) -> Result<Self, Error> {
        Reloaded::load(vec![path.clone()], move || read(&path)).map(Self)
    }

    /// Whose key this is. `algorithm` is the one that signs: SHA-1 with RSA proves nothing.
    pub fn find(&self, key: &PublicKey, algorithm: &Algorithm) -> Option<Arc<Identity>> {
        if matches!(algorithm, Algorithm::Rsa { hash: None }) || weakness(key).is_some() {
            return None;
        }
        self.0.current().get(&fingerprint(key)).cloned()
    }
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn read(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let users: Vec<User> = serde_saphyr::from_str(&text).map_err(|error| {
        let reason = error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        Error::Yaml {
            path: path.to_owned(),
            reason,
        }
    })?;
    let mut table = Table::new();
    for User { name, groups, keys } in users {
        if name.is_empty() {
            return Err(Error::Nameless {
                path: path.to_owned(),
            });
        }
        if std::iter::once(&name)
            .chain(&groups)
            .any(|text| text.starts_with("system:"))
        {
            return Err(Error::System {
                path: path.to_owned(),
                user: name,
            });
        }
        let identity = Arc::new(Identity {
            user: name,
            groups,
            source: Source::Key,
        });
        for (index, line) in keys.iter().enumerate() {
            let refused = |reason| Error::Key {
                path: path.to_owned(),
                user: identity.user.clone(),
                number: index + 1,
                reason,
            };
            let key = parse(line).map_err(refused)?;
            let other = table.insert(fingerprint(&key), Arc::clone(&identity));
            if other.is_some_and(|other| other.user != identity.user) {
                return Err(refused("belongs to another user, too".to_owned()));
            }
        }
    }
    Ok(table)
}

/// One line of an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
fn parse(line: &str) -> Result<PublicKey, String> {
    let entry: Entry = line.trim().parse().map_err(|error| format!("{error}"))?;
    // An option restricts its key: one that is not enforced must not be passed over.
    if let Some(option) = entry.config_opts().iter().next() {
        return Err(format!("the option {option:?} is not supported"));
    }
    match weakness(entry.public_key()) {
        Some(reason) => Err(reason.to_owned()),
        None => Ok(entry.public_key().clone()),
    }
}

fn weakness(key: &PublicKey) -> Option<&'static str> {
    match key.key_data() {
        KeyData::Rsa(rsa) if rsa.key_size() < MIN_RSA_BITS as u32 => {
            Some("RSA keys need 2048 bits or more")
        }
        KeyData::Dsa(_) => Some("DSA keys are too weak"),
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            Some("hardware-backed keys are not supported yet")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti ada@host";
    const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC8qVhHPpk9SZlKzpMgBdN9bW4Yf9Q4NZHgKzGZkz1VgQ8UgVvR7b4v3dV9oGk2rCq9HqfM0v0p9k0q3ZbqP6bq7mZ5JmD8Zy1cYw4m5L9z8Zk7F4xWqk5oQ8vB8M6qZ1F3V8c8T7xv9J5k1R3x9d7wq1L5Yt0o3c5n2m1k0QFw== weak";

    fn load(yaml: &str) -> Result<Table, String> {
        let path = std::env::temp_dir().join(format!(
            "podgate-users-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, yaml).unwrap();
        let table = read(&path).map_err(|error| error.to_string());
        std::fs::remove_file(&path).unwrap();
        table
    }

    #[test]
    fn a_key_names_its_user() {
        let table = load(&format!("- {{name: ada, groups: [dev], keys: ['{ADA}']}}")).unwrap();
        let key: PublicKey = ADA.parse().unwrap();
        let identity = table.get(&fingerprint(&key)).unwrap();
        assert_eq!(
            (identity.user.as_str(), identity.groups.as_slice()),
            ("ada", &["dev".into()][..])
        );
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn what_cannot_be_trusted_is_refused_and_named() {
        let check = |yaml: &str, expect: &str| {
            let error = load(yaml).err().unwrap_or_default();
            assert!(error.contains(expect), "{yaml:?} gave {error:?}");
        };
        check(
            &format!("- {{name: ada, keys: ['from=\"10.0.0.1\" {ADA}']}}"),
            "from=",
        );
        check(
            "- {name: ada, keys: ['ssh-ed25519 nonsense']}",
            "user \"ada\": key 1",
        );
        check(
            &format!("- {{name: ada, keys: ['{RSA_1024}']}}"),
            "user \"ada\": key 1",
        );
        check(
            &format!("- {{name: a, keys: ['{ADA}']}}\n- {{name: b, keys: ['{ADA}']}}"),
            "belongs to another",
        );
        check("- {name: 'system:admin'}", "system:");
        check("- {name: a, groups: ['system:masters']}", "system:");
        check("- {name: ''}", "no name");
        check("- {name: a, kees: []}", "kees");
    }
}
