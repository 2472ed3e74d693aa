//! Writes images in the docker-archive form: a tar of layers, configs and one `manifest.json`.
//! Entries are sorted and carry no time of their own, so equal content gives equal digests.

use std::collections::BTreeMap;

use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// A layer's files by path, without a leading slash. Parents must be added too; the map's order
/// puts them first.
#[derive(Debug, Default)]
pub(super) struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    mode: u32,
    owner: u64,
}

#[derive(Debug)]
enum Kind {
    Directory,
    File(Vec<u8>),
    Link(String),
}

impl Layer {
    pub(super) fn directory(&mut self, path: &str, mode: u32, owner: u64) {
        self.put(path, Kind::Directory, mode, owner);
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.put(path, Kind::File(bytes.into()), mode, 0);
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.put(path, Kind::Link(target.to_owned()), 0o777, 0);
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    fn put(&mut self, path: &str, kind: Kind, mode: u32, owner: u64) {
        self.entries
            .insert(path.to_owned(), Entry { kind, mode, owner });
    }

    fn into_tar(self) -> anyhow::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        for (path, Entry { kind, mode, owner }) in self.entries {
            let mut header = header(mode, owner);
            match kind {
                Kind::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    tar.append_data(&mut header, format!("{path}/"), std::io::empty())
                }
                Kind::File(bytes) => {
                    header.set_size(bytes.len().try_into()?);
                    tar.append_data(&mut header, &path, bytes.as_slice())
                }
                Kind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    tar.append_link(&mut header, &path, target)
                }
            }
            .with_context(|| path.clone())?;
        }
        Ok(tar.into_inner()?)
    }
}

/// A docker-archive being written.
pub(super) struct Archive {
    tar: Builder<Vec<u8>>,
    manifest: Vec<Value>,
}

impl Default for Archive {
    fn default() -> Self {
        Self {
            tar: Builder::new(Vec::new()),
            manifest: Vec::new(),
        }
    }
}

impl Archive {
    /// Adds an image of one layer; `config` is what docker calls so: Env, Cmd, WorkingDir.
    pub(super) fn add(&mut self, tag: &str, config: &Value, layer: Layer) -> anyhow::Result<()> {
        let layer = layer.into_tar()?;
        let digest = hex_sha256(&layer);
        let image = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        }))?;
        let config_path = format!("{}.json", hex_sha256(&image));
        // Of images with the same layer each keeps a copy: a few bytes for a simpler archive.
        let layer_path = format!("{}/layer.tar", config_path.trim_end_matches(".json"));
        self.append(&layer_path, &layer)?;
        self.append(&config_path, &image)?;
        self.manifest.push(json!({
            "Config": config_path, "RepoTags": [tag], "Layers": [layer_path],
        }));
        Ok(())
    }

    pub(super) fn finish(mut self) -> anyhow::Result<Vec<u8>> {
        let manifest = serde_json::to_vec(&self.manifest)?;
        self.append("manifest.json", &manifest)?;
        Ok(self.tar.into_inner()?)
    }

    fn append(&mut self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let mut header = header(0o644, 0);
        header.set_size(bytes.len().try_into()?);
        self.tar
            .append_data(&mut header, path, bytes)
            .with_context(|| path.to_owned())
    }
}

fn header(mode: u32, owner: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// This machine's, as images name it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
