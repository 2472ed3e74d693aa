//! The workspace's files, as the rules see them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Rust files, manifests and the lock file: path from the workspace's root, and text.
pub(super) type Files = BTreeMap<String, String>;

pub(super) fn workspace() -> Files {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut files = Files::new();
    collect(root, "", &mut files);
    assert!(files.len() > 50, "the sources are gone");
    files
}

fn collect(root: &Path, folder: &str, files: &mut Files) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = match folder {
            "" => name.clone(),
            _ => format!("{folder}/{name}"),
        };
        let kind = entry.file_type().unwrap();
        // Skips what cargo builds (but not a module called target) and what tools keep.
        let skipped = name == "target" && !folder.contains("src") || name.starts_with('.');
        if kind.is_dir() && !skipped {
            collect(root, &path, files);
        } else if kind.is_file() && is_read(&name) {
            let text = fs::read_to_string(entry.path()).unwrap();
            files.insert(path, text);
        }
    }
}

fn is_read(name: &str) -> bool {
    name.ends_with(".rs") || name == "Cargo.toml" || name == "Cargo.lock"
}

/// Whether a file is this module, crate or folder, or a part of it: `frontdoor/src/ssh` is
/// `frontdoor/src/ssh.rs` and all below `frontdoor/src/ssh/`.
pub(super) fn is_in(file: &str, place: &str) -> bool {
    let rest = file.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

pub(super) fn is_in_any(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| is_in(file, place))
}
