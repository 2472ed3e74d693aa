//! Made-up workspaces.

use crate::architecture::package::{Package, packages};
use crate::architecture::source::Files;

/// One of these files, with a manifest for each folder that has a `src`.
pub(super) fn files(texts: &[(&str, &str)]) -> Files {
    let mut files = Files::new();
    let mut members = Vec::new();
    for (path, text) in texts {
        files.insert((*path).to_owned(), (*text).to_owned());
        let folder = path.split("/src/").next().unwrap_or(path);
        if folder != *path && !members.contains(&folder) {
            members.push(folder);
        }
    }
    for folder in &members {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let manifest = files.entry(format!("{folder}/Cargo.toml"));
        manifest.or_insert_with(|| format!("[package]\nname = \"podgate-{name}\"\n"));
    }
    let members = format!("[workspace]\nmembers = {members:?}\n");
    files.insert("Cargo.toml".to_owned(), members);
    files
}

pub(super) fn read(texts: &[(&str, &str)]) -> Vec<Package> {
    packages(&files(texts))
}

/// A package `podgate-agent` of these files below its `src`.
pub(super) fn agent(texts: &[(&str, &str)]) -> Package {
    let paths: Vec<_> = texts
        .iter()
        .map(|(path, text)| (format!("agent/src/{path}"), *text))
        .collect();
    let texts: Vec<_> = paths.iter().map(|(path, text)| (&**path, *text)).collect();
    read(&texts).remove(0)
}
