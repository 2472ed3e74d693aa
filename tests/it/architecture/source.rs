//! The workspace's files as rules see them.

use std::fs;
use std::path::Path;

/// A Rust file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Its path from the workspace's root.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// Whether it is a module, a crate or a folder, or part of it: `frontdoor/src/ssh` is
    /// `frontdoor/src/ssh.rs` and all below `frontdoor/src/ssh/`.
    pub(super) fn is_in(&self, place: &str) -> bool {
        let rest = self.path.strip_prefix(place);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Whether it is of another crate, whose folder is in this place.
    pub(super) fn is_below(&self, place: &str) -> bool {
        let rest = self.path.strip_prefix(place);
        rest.is_some_and(|rest| rest.trim_start_matches('/').contains("/src/"))
    }

    /// Whether it is built for tests alone. What stands under `#[cfg(test)]` in other files is left
    /// out when imports are read.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.is_in("tests")
    }

    /// The path in its crate of the module it is, and whether it is a program's root.
    pub(super) fn module(&self) -> (Vec<&str>, bool) {
        let (_, file) = self.path.split_once("/src/").unwrap_or_default();
        let file = file.strip_suffix(".rs").unwrap_or(file);
        let mut module: Vec<_> = file.split('/').collect();
        let program = matches!(module[..], ["main"] | ["bin", ..]);
        if program || file == "lib" {
            module.clear();
        } else if module.last() == Some(&"mod") {
            module.pop();
        }
        (module, program)
    }

    /// The name it has in a table of modules of the crate in this folder: that of the crate's root,
    /// or of a module right below. A program in a folder of its own below `bin` is another crate.
    pub(super) fn table_name(&self, place: &str) -> Option<&str> {
        let file = self.path.strip_prefix(place)?.strip_prefix('/')?;
        let name = file.split(['/', '.']).next().unwrap_or(file);
        (name != "bin").then_some(name)
    }
}

impl Source {
    /// Modules it declares whose file lies in another place, by `#[path]`.
    pub(super) fn modules_elsewhere(&self) -> impl Iterator<Item = &str> {
        let behind = self.text.split("\n#[path = ").skip(1);
        behind.filter_map(|text| text.split("mod ").nth(1)?.split(';').next())
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// All Rust files of the workspace, tests included.
pub(super) fn workspace() -> Vec<Source> {
    let mut sources = Vec::new();
    for name in ["proto", "agent", "frontdoor", "tests"] {
        collect(name, &mut sources);
    }
    assert!(sources.len() > 50, "the sources are gone");
    sources
}

fn collect(folder: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        let kind = entry.file_type().unwrap();
        // What cargo builds, but not the module of that name.
        let built = path.ends_with("/target") && !path.contains("/src/");
        if kind.is_dir() && !built {
            collect(&path, sources);
        } else if kind.is_file() && path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            sources.push(Source { path, text });
        }
    }
}

/// A crate's Cargo.toml.
pub(super) fn manifest(name: &str) -> String {
    fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap()
}

/// The crates a Cargo.toml names as dependencies of any kind, as `use` writes them.
pub(super) fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut listed = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            listed = line.ends_with("dependencies]");
        } else if let Some(end) = line.find(['.', ' ', '=']).filter(|_| listed) {
            names.push(line[..end].replace('-', "_"));
        }
    }
    names
}
