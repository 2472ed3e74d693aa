//! The names of users and groups, as the container's own passwd and group files have them. Both may be
//! missing, and their author is not trusted: a bounded part is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use rustix::process::getuid;

/// Bytes of a name, at most; longer ones are not names that Linux's tools make.
const MAX_NAME: usize = 256;
/// Bytes that are read of each file, at most.
const MAX_FILE: u64 = 1024 * 1024;

/// Users and groups.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
}

impl Owners {
    pub(crate) fn read() -> Self {
        let named = |path: &str| {
            let text = text(path);
            let entries = lines(&text).filter_map(|line| {
                let mut fields = line.split(|byte| *byte == b':');
                let name = fields.next().filter(|name| name.len() <= MAX_NAME)?;
                Some((number(fields.nth(1)?)?, name.to_vec()))
            });
            // Of several names for one number the first one counts, as in getpwuid(3).
            let mut names = HashMap::new();
            for (id, name) in entries {
                names.entry(id).or_insert(name);
            }
            names
        };
        Self {
            users: named("/etc/passwd"),
            groups: named("/etc/group"),
        }
    }

    /// A user's name, or the number.
    pub(crate) fn user(&self, id: u32) -> Vec<u8> {
        shown(&self.users, id)
    }

    /// A group's name, or the number.
    pub(crate) fn group(&self, id: u32) -> Vec<u8> {
        shown(&self.groups, id)
    }

    /// Users' names for numbers of four bytes each, empty where there is none.
    pub(crate) fn packed_users(&self, ids: &[u8]) -> Vec<Vec<u8>> {
        of_packed(&self.users, ids)
    }

    /// The same for groups.
    pub(crate) fn packed_groups(&self, ids: &[u8]) -> Vec<Vec<u8>> {
        of_packed(&self.groups, ids)
    }
}

fn shown(names: &HashMap<u32, Vec<u8>>, id: u32) -> Vec<u8> {
    let name = names.get(&id).cloned();
    name.unwrap_or_else(|| id.to_string().into_bytes())
}

fn of_packed(names: &HashMap<u32, Vec<u8>>, ids: &[u8]) -> Vec<Vec<u8>> {
    let (ids, _) = ids.as_chunks::<4>();
    let name = |id: &[u8; 4]| names.get(&u32::from_be_bytes(*id)).cloned();
    ids.iter().map(|id| name(id).unwrap_or_default()).collect()
}

/// A user's home directory; without a name, that of the user whom this process runs as.
pub(crate) fn home(user: &[u8]) -> Option<Vec<u8>> {
    let text = text("/etc/passwd");
    let own = getuid().as_raw();
    let home = lines(&text).find_map(|line| {
        let fields: Vec<_> = line.split(|byte| *byte == b':').collect();
        let [name, _, id, _, _, home, ..] = *fields else {
            return None;
        };
        let found = match user.is_empty() {
            true => number(id)? == own,
            false => name == user,
        };
        found.then(|| home.to_vec())
    });
    let environment = || {
        use std::os::unix::ffi::OsStringExt;
        let home = user.is_empty().then(|| std::env::var_os("HOME")).flatten();
        home.map(OsStringExt::into_vec)
    };
    home.or_else(environment).filter(|home| !home.is_empty())
}

fn text(path: &str) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before a failure counts.
        let _ = file.take(MAX_FILE).read_to_end(&mut text);
    }
    text
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn number(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.parse().ok()
}
