//! What a client has open, by the handles that it was given.

use std::fs::File;

use super::failure::Failure;
use super::folder::Folder;

/// Files and folders open at once, at most.
pub(crate) const MAX_HANDLES: usize = 512;

/// An open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// Its name, as the client gave it.
    pub(crate) path: Vec<u8>,
    /// What is written goes to its end, whatever the offset.
    pub(crate) append: bool,
    /// Whether the user was told that no more can be written.
    pub(crate) told: bool,
}

#[derive(Debug)]
enum Open {
    File(OpenFile),
    Folder(Folder),
}

/// The open files and folders. A handle is its place in the table, as four bytes.
#[derive(Debug, Default)]
pub(crate) struct Handles(Vec<Option<Open>>);

impl Handles {
    pub(crate) fn add_file(&mut self, file: OpenFile) -> Result<[u8; 4], Failure> {
        self.add(Open::File(file))
    }

    pub(crate) fn add_folder(&mut self, folder: Folder) -> Result<[u8; 4], Failure> {
        self.add(Open::Folder(folder))
    }

    fn add(&mut self, open: Open) -> Result<[u8; 4], Failure> {
        let index = match self.0.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.0.len() < MAX_HANDLES => {
                self.0.push(None);
                self.0.len() - 1
            }
            None => return Err(Failure::HANDLES),
        };
        if let Some(slot) = self.0.get_mut(index) {
            *slot = Some(open);
        }
        Ok((index as u32).to_be_bytes())
    }

    fn slot(&mut self, handle: &[u8]) -> Option<&mut Option<Open>> {
        let index = u32::from_be_bytes(handle.try_into().ok()?);
        self.0.get_mut(index as usize)
    }

    pub(crate) fn file(&mut self, handle: &[u8]) -> Result<&mut OpenFile, Failure> {
        match self.slot(handle) {
            Some(Some(Open::File(file))) => Ok(file),
            _ => Err(Failure::HANDLE),
        }
    }

    pub(crate) fn folder(&mut self, handle: &[u8]) -> Result<&mut Folder, Failure> {
        match self.slot(handle) {
            Some(Some(Open::Folder(folder))) => Ok(folder),
            _ => Err(Failure::HANDLE),
        }
    }

    /// Takes it out, to be closed. None is a folder, which is closed.
    pub(crate) fn remove(&mut self, handle: &[u8]) -> Result<Option<OpenFile>, Failure> {
        match self.slot(handle).and_then(Option::take) {
            Some(Open::File(file)) => Ok(Some(file)),
            Some(Open::Folder(_)) => Ok(None),
            None => Err(Failure::HANDLE),
        }
    }
}
