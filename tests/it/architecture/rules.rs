//! The other rules. Each answers with a line for every breach.

use std::collections::BTreeSet;

use super::manifest;
use super::package::{Meaning, Name, Package};
use super::source::{Files, is_in, is_in_any};

/// Something that may be named in few places: a crate, an item of a crate, or a module of ours by its
/// path.
#[derive(Debug)]
pub(super) struct OnlyIn {
    pub(super) what: &'static str,
    pub(super) places: &'static [&'static str],
    pub(super) why: &'static str,
}

fn breach(package: &Package, name: &Name, why: &str) -> String {
    let file = &package.modules[name.module].file;
    let path = package.show(&name.meaning);
    format!("{file}:{}: {path}: {why}", name.line)
}

/// Whether a path is this item, or one below it.
fn is_of(path: &str, item: &str) -> bool {
    let rest = path.strip_prefix(item);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn root(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

/// A package names only those of our packages that the table allows, in its sources (one line a file)
/// and in its manifest.
pub(super) fn crates(table: &[(&str, &[&str])], packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let own = &*package.manifest.library;
        let Some((_, may)) = table.iter().find(|(name, _)| *name == own) else {
            found.push(format!("{own}: not in the table"));
            continue;
        };
        let is_ours = |name: &str| name.starts_with("podgate_") && name != own;
        let dependencies = &package.manifest.dependencies;
        for name in dependencies.iter().filter(|name| is_ours(name)) {
            if !may.contains(&&**name) {
                let folder = &package.manifest.folder;
                found.push(format!("{folder}/Cargo.toml: {name}: no arrow to it"));
            }
        }
        let mut told = BTreeSet::new();
        for name in package.names() {
            if let Meaning::Outside(path) = &name.meaning
                && is_ours(root(path))
                && !may.contains(&root(path))
                && told.insert((name.module, root(path).to_owned()))
            {
                found.push(breach(package, &name, "no arrow to it"));
            }
        }
        for name in may.iter().filter(|name| !dependencies.contains(**name)) {
            found.push(format!("{own} does not need {name}: shorten the table"));
        }
    }
    for (row, _) in table {
        if !packages.iter().any(|it| it.manifest.library == *row) {
            found.push(format!("{row} is gone: shorten the table"));
        }
    }
    found
}

/// Each item of the table is named in its places alone, and in each of them.
pub(super) fn kept(table: &[OnlyIn], packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for package in packages {
        for name in package.names() {
            let file = &*package.modules[name.module].file;
            let is_meant = |what: &str| match &name.meaning {
                Meaning::Outside(path) => is_of(path, what),
                Meaning::Item(to, _) => {
                    is_in(&package.modules[*to].file, what) && !is_in(file, what)
                }
                Meaning::Module(_) | Meaning::Handed(..) => false,
            };
            // An item of a crate goes by its own row, where it has one.
            let rows = table.iter().filter(|row| is_meant(row.what));
            let Some(row) = rows.max_by_key(|row| row.what.len()) else {
                continue;
            };
            match row.places.iter().find(|place| is_in(file, place)) {
                Some(place) => {
                    seen.insert((row.what, *place));
                }
                None => found.push(breach(package, &name, row.why)),
            }
        }
    }
    for row in table {
        for place in row.places {
            if !seen.contains(&(row.what, *place)) {
                let what = row.what;
                found.push(format!("{place} does not name {what}: shorten the table"));
            }
        }
    }
    found
}

/// Files that compute and do nothing else import what the list has, and each other.
pub(super) fn pure(places: &[&str], may: &[&str], packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    let files = packages.iter().flat_map(|package| &package.modules);
    let files: BTreeSet<_> = files.map(|module| &*module.file).collect();
    for place in places {
        if !files.iter().any(|file| is_in(file, place)) {
            found.push(format!("{place} is gone: shorten the table"));
        }
    }
    for package in packages {
        for name in package.names() {
            if !is_in_any(&package.modules[name.module].file, places) {
                continue;
            }
            let sound = match &name.meaning {
                Meaning::Module(_) => true,
                Meaning::Item(to, _) | Meaning::Handed(to, _) => {
                    is_in_any(&package.modules[*to].file, places)
                }
                Meaning::Outside(path) => {
                    let ours = packages.iter().find_map(|package| package.defines(path));
                    if ours.is_some_and(|file| is_in_any(file, places)) {
                        continue;
                    }
                    let root = root(path);
                    let outside = ["std", "core", "alloc"].contains(&root)
                        || package.manifest.dependencies.contains(root);
                    !outside || may.iter().any(|item| is_of(path, item))
                }
            };
            if !sound {
                found.push(breach(package, &name, "more than a pure file may import"));
            }
        }
    }
    found
}

/// Small programs depend on what the table lists, and nothing that is banned comes in with it.
pub(super) fn small(
    table: &[(&str, &[&str])],
    banned: &[&str],
    packages: &[Package],
    lock: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, may) in table {
        let manifest = packages.iter().map(|package| &package.manifest);
        let Some(manifest) = manifest.into_iter().find(|it| it.library == *name) else {
            found.push(format!("{name} is gone: shorten the table"));
            continue;
        };
        let dependencies: BTreeSet<_> = manifest.dependencies.iter().map(|it| &**it).collect();
        let may: BTreeSet<_> = may.iter().copied().collect();
        for dependency in dependencies.symmetric_difference(&may) {
            found.push(format!("{name}: {dependency}: not as the table says"));
        }
        let with = manifest::built_with(lock, &manifest.name);
        for banned in banned.iter().filter(|banned| with.contains(**banned)) {
            found.push(format!("{name} is built with {banned}"));
        }
    }
    found
}

/// Each file of a package is a module of it. The rules would not see other files.
pub(super) fn strays(packages: &[Package], files: &Files) -> Vec<String> {
    let modules = packages.iter().flat_map(|package| &package.modules);
    let read: BTreeSet<_> = modules.map(|module| &*module.file).collect();
    let mut found = Vec::new();
    let folders = files
        .keys()
        .filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let folders: Vec<_> = folders.collect();
    for file in files.keys().filter(|path| path.ends_with(".rs")) {
        let of = folders.iter().filter(|folder| is_in(file, folder));
        let of = of.max_by_key(|folder| folder.len());
        let is_ours = packages.iter().any(|it| Some(&&*it.manifest.folder) == of);
        if is_ours && !is_test(file) && !read.contains(&**file) {
            found.push(format!("{file}: no module of its package"));
        }
    }
    for (file, name) in packages.iter().flat_map(|package| &package.missing) {
        found.push(format!("{file}: mod {name} has no file beside it"));
    }
    found
}

/// The unit tests of a file, below it.
fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/src/") && file.contains("/tests/")
}

/// Every file says what it is for, and a main.rs is short.
pub(super) fn heads(main_lines: usize, files: &Files) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".rs")) {
        if !text.starts_with("//!") {
            found.push(format!("{path}: does not open with //!"));
        }
        let lines = text.lines().count();
        if path.ends_with("/main.rs") && lines > main_lines {
            found.push(format!("{path}: {lines} lines, of {main_lines}"));
        }
    }
    found
}
