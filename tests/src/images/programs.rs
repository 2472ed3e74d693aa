//! Programs of this machine as an image's: each in its place, with the libraries that `ldd` finds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::archive::Layer;

/// Every shared object of the programs, loader included.
pub(super) fn libraries(programs: &[String]) -> anyhow::Result<Vec<String>> {
    let listed = Command::new("ldd").args(programs).output().context("ldd")?;
    // Its status is 1 once one of the programs is a script or linked statically.
    let mut libraries: Vec<String> = String::from_utf8(listed.stdout)?
        .lines()
        .filter(|line| line.starts_with('\t'))
        .flat_map(str::split_whitespace)
        .filter(|word| word.starts_with("/lib"))
        .map(str::to_owned)
        .collect();
    libraries.sort();
    libraries.dedup();
    ensure!(!libraries.is_empty(), "ldd found no library");
    Ok(libraries)
}

/// Copies a file to the place its folder really has, under the name it was asked by.
pub(super) fn copy(layer: &mut Layer, path: &str) -> anyhow::Result<()> {
    let path = Path::new(path);
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let folder = path.parent().unwrap_or(path).canonicalize()?;
    let name = path.file_name().unwrap_or_default();
    let place = folder.join(name);
    for parent in folder.ancestors() {
        let parent = inside(parent);
        if !parent.is_empty() && !layer.contains(&parent) {
            layer.directory(&parent, 0o755, 0);
        }
    }
    layer.file(&inside(&place), 0o755, bytes);
    Ok(())
}

/// A path as a layer has it.
fn inside(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}
