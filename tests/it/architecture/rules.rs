//! The rules over a set of files. Each answers with a line for every breach.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{Import, imports};
use super::source::Source;
use super::{CRATES, MAIN_LINES, Modules, PLACES, PURE, PURE_IMPORTS};

/// Files of a crate that are not for tests, with what they import.
fn of_crate<'a>(
    name: &str,
    sources: &'a [Source],
) -> impl Iterator<Item = (&'a Source, Import)> + use<'a> {
    let own: Vec<_> = sources
        .iter()
        .filter(|s| s.is_in(name) && !s.is_below(name) && !s.is_test())
        .collect();
    own.into_iter()
        .flat_map(|source| imports(source).into_iter().map(move |i| (source, i)))
}

fn breach(source: &Source, import: &Import, why: &str) -> String {
    format!("{}:{}: {}: {why}", source.path, import.line, import.path)
}

/// Sources name no crate of the project's but those of the table.
pub(super) fn crates(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, may) in CRATES {
        for (source, import) in of_crate(name, sources) {
            if import.root().starts_with("podgate_") && !may.contains(&import.root()) {
                found.push(breach(source, &import, "not an arrow between crates"));
            }
        }
    }
    found
}

/// Nor does a Cargo.toml, under whatever name.
pub(super) fn manifest(name: &str, may: &[&str], manifest: &str) -> Vec<String> {
    let own = name.rsplit('/').next().unwrap_or(name);
    let own = format!("podgate_{own}");
    let mut found = Vec::new();
    for line in manifest.lines().filter(|line| !line.starts_with("name =")) {
        let line = line.split('#').next().unwrap_or_default().replace('-', "_");
        for word in line.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            if word.starts_with("podgate_") && word != own && !may.contains(&word) {
                found.push(format!(
                    "{name}/Cargo.toml: {word}: not an arrow between crates"
                ));
            }
        }
    }
    found
}

/// The crates of the table stand in their places alone.
pub(super) fn places(sources: &[Source]) -> Vec<String> {
    let kept: BTreeSet<_> = PLACES
        .iter()
        .filter_map(|(_, item)| item.split("::").next())
        .collect();
    let mut found = Vec::new();
    for (name, _) in CRATES {
        for (source, import) in of_crate(name, sources) {
            let mut rows = PLACES.iter();
            if kept.contains(import.root())
                && !rows.any(|(place, item)| source.is_in(place) && import.is_of(item))
            {
                found.push(breach(source, &import, "not in its place"));
            }
        }
    }
    found
}

/// Modules import of each other what the table says, no more and no less, and only downwards.
pub(super) fn modules(place: &str, table: Modules, sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|s| s.is_in(place) && !s.is_test()) {
        if let Some(name) = source.table_name(place) {
            seen.entry(name).or_default();
            for elsewhere in source.modules_elsewhere() {
                seen.entry(elsewhere).or_default();
            }
        }
    }
    let names: BTreeSet<_> = seen.keys().copied().collect();
    for (source, import) in of_crate(place, sources) {
        let mut path = import.path.split("::");
        let Some(from) = source.table_name(place) else {
            continue;
        };
        if path.next() != Some("crate") {
            continue;
        }
        let to = path
            .next()
            .and_then(|module| names.get(module))
            .copied()
            .unwrap_or("lib");
        let may = table
            .iter()
            .find(|(module, _)| *module == from)
            .map(|(_, may)| *may);
        if from == to {
            continue;
        }
        seen.entry(from).or_default().insert(to);
        if !may.unwrap_or_default().contains(&to) {
            found.push(breach(
                source,
                &import,
                &format!("{from} may not import {to}"),
            ));
        }
    }
    for module in &names {
        if !table.iter().any(|(row, _)| row == module) {
            found.push(format!("{place}: {module}: not in the table"));
        }
    }
    for (row, &(module, may)) in table.iter().enumerate() {
        for to in may {
            if !table[row..].iter().skip(1).any(|(below, _)| below == to) {
                found.push(format!(
                    "{place}: {module} stands below {to}, which it imports"
                ));
            }
            if !seen.get(module).is_some_and(|seen| seen.contains(to)) {
                found.push(format!(
                    "{place}: {module} does not import {to}: shorten the table"
                ));
            }
        }
        if !names.contains(module) {
            found.push(format!("{place}: {module} is gone: shorten the table"));
        }
    }
    found
}

/// Pure files import what the table says, and other pure files.
pub(super) fn pure(name: &str, dependencies: &[String], sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for (source, import) in of_crate(name, sources) {
        if !PURE.iter().any(|place| source.is_in(place)) {
            continue;
        }
        let outside = ["std", "core", "alloc"].contains(&import.root())
            || dependencies
                .iter()
                .any(|dependency| dependency == import.root());
        let sound = if let Some(path) = import.path.strip_prefix("crate") {
            let path = format!("{name}/src{}/", path.replace("::", "/"));
            PURE.iter()
                .any(|place| path.starts_with(&format!("{place}/")))
        } else {
            !outside || PURE_IMPORTS.iter().any(|item| import.is_of(item))
        };
        if !sound {
            found.push(breach(source, &import, "more than a pure file may import"));
        }
    }
    found
}

/// A program that is kept small names these crates alone, and its own modules.
pub(super) fn small(
    place: &str,
    may: &[&str],
    dependencies: &[String],
    sources: &[Source],
) -> Vec<String> {
    let mut found = Vec::new();
    for (source, import) in of_crate(place, sources) {
        let root = import.root();
        let outside = root.starts_with("podgate_") || dependencies.iter().any(|d| d == root);
        if outside && !may.contains(&root) {
            found.push(breach(source, &import, "more than this program may import"));
        }
    }
    found
}

/// Every file says what it is for, and a main.rs is short.
pub(super) fn heads(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if !source.text.starts_with("//!") {
            found.push(format!("{}: does not open with //!", source.path));
        }
        let lines = source.text.lines().count();
        if source.path.ends_with("/main.rs") && lines > MAIN_LINES {
            found.push(format!("{}: {lines} lines, of {MAIN_LINES}", source.path));
        }
    }
    found
}
