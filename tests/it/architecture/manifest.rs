//! What the rules need of `Cargo.toml` and `Cargo.lock`, read line by line.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Files;

/// A `Cargo.toml`.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Its folder, from the workspace's root.
    pub(super) folder: String,
    pub(super) name: String,
    /// Its library's name, as `use` writes it.
    pub(super) library: String,
    /// Dependencies of any kind, as `use` writes them, under their real names where they are renamed.
    pub(super) dependencies: BTreeSet<String>,
    /// The files that cargo starts from, each a crate.
    pub(super) roots: Vec<String>,
}

/// The manifests of the workspace's members.
pub(super) fn members(files: &Files) -> Vec<Manifest> {
    let text = files.get("Cargo.toml").map_or("", String::as_str);
    let list = text.split("\nmembers = [").nth(1).unwrap_or_default();
    let list = list.split(']').next().unwrap_or_default();
    let folders = list.split('"').skip(1).step_by(2);
    let mut members: Vec<_> = folders.map(|folder| read(folder, files)).collect();
    members.sort_by(|a, b| a.folder.cmp(&b.folder));
    members
}

fn read(folder: &str, files: &Files) -> Manifest {
    let text = files.get(&format!("{folder}/Cargo.toml"));
    let text = text.unwrap_or_else(|| panic!("{folder} has no Cargo.toml"));
    let mut manifest = Manifest {
        folder: folder.to_owned(),
        name: String::new(),
        library: String::new(),
        dependencies: BTreeSet::new(),
        roots: found_roots(folder, files),
    };
    let mut section = "";
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            // [dependencies.name]
            if let Some((above, name)) = section.rsplit_once('.')
                && above.ends_with("dependencies")
            {
                manifest.dependencies.insert(name.replace('-', "_"));
            }
        } else if let Some((key, value)) = line.split_once('=') {
            manifest.add(section, key.trim(), value);
        }
    }
    manifest.library = manifest.name.replace('-', "_");
    manifest
}

impl Manifest {
    fn add(&mut self, section: &str, key: &str, value: &str) {
        let text = |value: &str| value.split('"').nth(1).map(str::to_owned);
        match (section, key) {
            ("package", "name") => self.name = text(value).unwrap_or_default(),
            ("lib" | "bin" | "test" | "bench", "path") => {
                let root = format!("{}/{}", self.folder, text(value).unwrap_or_default());
                if !self.roots.contains(&root) {
                    self.roots.push(root);
                }
            }
            _ if section.ends_with("dependencies") => {
                let renamed = value.split("package = ").nth(1).and_then(text);
                let name = key.split('.').next().unwrap_or(key);
                let name = renamed.unwrap_or_else(|| name.to_owned());
                self.dependencies.insert(name.replace('-', "_"));
            }
            _ => {}
        }
    }
}

/// The roots that cargo finds by itself.
fn found_roots(folder: &str, files: &Files) -> Vec<String> {
    let is_root = |file: &&String| match file.strip_prefix(folder) {
        Some("/build.rs" | "/src/lib.rs" | "/src/main.rs") => true,
        Some(rest) => match rest.strip_prefix("/src/bin/") {
            Some(rest) => !rest.contains('/') || rest.ends_with("/main.rs"),
            None => false,
        },
        None => false,
    };
    files.keys().filter(is_root).cloned().collect()
}

/// All crates that this one is built with, straight or by way of others, by `Cargo.lock`. It is
/// more than what is linked: the lock file does not tell build scripts and tests apart.
pub(super) fn built_with<'a>(lock: &'a str, name: &str) -> BTreeSet<&'a str> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let mut words = package.split('"').skip(1).step_by(2);
        let name = words.next().unwrap_or_default();
        let list = package.split("dependencies = [").nth(1).unwrap_or_default();
        let list = list.split(']').next().unwrap_or_default();
        let list = list.split('"').skip(1).step_by(2);
        // "name", or "name version" where there are two.
        let list = list.map(|entry| entry.split(' ').next().unwrap_or(entry));
        needs.entry(name).or_default().extend(list);
    }
    let mut found = BTreeSet::new();
    let mut next = needs.get(name).cloned().unwrap_or_default();
    while let Some(name) = next.pop() {
        if found.insert(name) {
            next.extend(needs.get(name).into_iter().flatten());
        }
    }
    found
}
