//! A recording as `export` gives it: its text. Of an encrypted one it is a tar of its chunks' age files,
//! because the end of one age file cannot be told from the beginning of the next.

use crate::content::Content;
use crate::name::Id;
use crate::verify::{Broken, Verifier};

/// What a tar's entries are divided into.
const BLOCK: usize = 512;
/// Two empty blocks end a tar.
const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Exports one recording, of its chunks in their order.
pub struct Export {
    id: Id,
    verifier: Verifier,
    chunks: u32,
}

impl Export {
    /// Of the recording of this name.
    pub fn new(id: Id) -> Self {
        let verifier = Verifier::new(id.as_str());
        Self {
            id,
            verifier,
            chunks: 0,
        }
    }

    /// Checks the next chunk, and returns what is given of it.
    pub fn chunk(&mut self, object: &[u8]) -> Result<Vec<u8>, Broken> {
        let content = self.verifier.chunk(object)?;
        let number = self.chunks;
        self.chunks += 1;
        match content {
            Content::Text(text) => Ok(text),
            Content::Encrypted { file, .. } => {
                let name = format!("{}/{number:08}.age", self.id);
                let entry = entry(&self.id, &name, &file);
                entry.map_err(|error| Broken::Chunk(number, error.into()))
            }
        }
    }

    /// What comes after the last chunk.
    pub fn end(&self) -> &'static [u8] {
        match self.verifier.is_encrypted() {
            true => &END,
            false => &[],
        }
    }

    /// What is known of the chunks that were given.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

fn entry(id: &Id, name: &str, file: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(file.len() as u64);
    header.set_mode(0o600);
    let begins = id.begins().map(|begins| begins.as_second());
    let begins = begins.and_then(|seconds| u64::try_from(seconds).ok());
    header.set_mtime(begins.unwrap_or_default());
    header.set_cksum();
    let mut entry = [header.as_bytes(), file].concat();
    entry.resize(entry.len().next_multiple_of(BLOCK), 0);
    Ok(entry)
}

#[cfg(test)]
mod tests;
