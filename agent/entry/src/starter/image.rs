//! A program of Podgate's own as containers run it: a sealed memfd, which nobody in them can write, nor make
//! unexecutable for others where the kernel can seal that (F_SEAL_EXEC, Linux 6.3). Before, each
//! container has a memfd of its own.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use podgate_node_entry::ids::ContainerId;

/// Containers that have a memfd of their own, at the most. The oldest goes first; what still runs it
/// keeps it.
const MAX_OWN: usize = 64;

/// Why it cannot be run in containers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it is no program of Linux")]
    Format,
    #[error("it is not linked statically, so it would need files that containers do not have")]
    Dynamic,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One program.
#[derive(Debug)]
pub(crate) struct Images {
    /// What is shown as its file.
    name: &'static str,
    program: Vec<u8>,
    /// For all containers.
    shared: Option<Arc<OwnedFd>>,
    own: Mutex<VecDeque<(ContainerId, Arc<OwnedFd>)>>,
}

impl Images {
    pub(crate) fn new(name: &'static str, program: Vec<u8>) -> Result<Self, Error> {
        check(&program)?;
        let shared = match seal(name, &program, true) {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => None,
            sealed => Some(Arc::new(sealed?)),
        };
        Ok(Self {
            name,
            program,
            shared,
            own: Mutex::default(),
        })
    }

    /// Whether one memfd serves all containers.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// The memfd for a container.
    pub(crate) fn of(&self, container: &ContainerId) -> io::Result<Arc<OwnedFd>> {
        if let Some(shared) = &self.shared {
            return Ok(shared.clone());
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, image)) = own.iter().find(|(id, _)| id == container) {
            return Ok(image.clone());
        }
        let image = Arc::new(seal(self.name, &self.program, false)?);
        if own.len() >= MAX_OWN {
            own.pop_front();
        }
        own.push_back((container.clone(), image.clone()));
        Ok(image)
    }
}

fn seal(name: &str, program: &[u8], for_all: bool) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A kernel that does not know MFD_EXEC refuses it, and makes an executable one without it.
    let flags = if for_all {
        flags | MemfdFlags::EXEC
    } else {
        flags
    };
    let mut file = File::from(memfd_create(name, flags)?);
    file.write_all(program)?;
    fchmod(&file, Mode::from_raw_mode(0o555))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    let seals = if for_all {
        seals | SealFlags::EXEC
    } else {
        seals
    };
    fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// Whether it runs without an interpreter: ELF-64 without a PT_INTERP (System V ABI, chapter 5).
fn check(program: &[u8]) -> Result<(), Error> {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, width: usize| -> Option<usize> {
        let bytes = program.get(at..at.checked_add(width)?)?;
        let value = bytes.iter().rev().try_fold(0u64, |sum, &byte| {
            sum.checked_mul(256)?.checked_add(byte.into())
        });
        usize::try_from(value?).ok()
    };
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return Err(Error::Format);
    }
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let (offset, size) = (offset.ok_or(Error::Format)?, size.ok_or(Error::Format)?);
    for index in 0..count.ok_or(Error::Format)? {
        let at = size
            .checked_mul(index)
            .and_then(|it| it.checked_add(offset));
        let kind = number(at.ok_or(Error::Format)?, 4).ok_or(Error::Format)?;
        if kind == INTERPRETER as usize {
            return Err(Error::Dynamic);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ContainerId {
        digit.to_string().repeat(64).try_into().unwrap()
    }

    /// An ELF-64 header with one program header of this type.
    fn program(kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (bytes[32], bytes[54], bytes[56], bytes[64]) = (64, 56, 1, kind);
        bytes
    }

    #[test]
    fn only_a_static_program_is_taken() {
        assert!(check(&program(1)).is_ok());
        assert!(matches!(check(&program(3)), Err(Error::Dynamic)));
        assert!(matches!(check(b"#!/bin/sh"), Err(Error::Format)));
        assert!(matches!(check(&program(1)[..60]), Err(Error::Format)));
    }

    #[test]
    fn nobody_can_change_it() {
        let images = Images::new("podgate-launcher", program(1)).unwrap();
        let image = images.of(&id('a')).unwrap();
        assert!(fcntl_add_seals(&image, SealFlags::SEAL).is_err());
        assert!(rustix::io::write(&image, b"x").is_err());
        assert!(rustix::fs::ftruncate(&image, 0).is_err());
        if images.is_shared() {
            assert!(fchmod(&image, Mode::empty()).is_err());
            assert!(Arc::ptr_eq(&image, &images.of(&id('b')).unwrap()));
        }
    }

    #[test]
    fn without_the_seal_each_container_has_its_own() {
        let images = Images {
            name: "podgate-launcher",
            program: program(1),
            shared: None,
            own: Mutex::default(),
        };
        let image = images.of(&id('a')).unwrap();
        assert!(Arc::ptr_eq(&image, &images.of(&id('a')).unwrap()));
        assert!(!Arc::ptr_eq(&image, &images.of(&id('b')).unwrap()));
        for n in 0..2 * MAX_OWN {
            let id = format!("{n:064x}").try_into().unwrap();
            images.of(&id).unwrap();
        }
        assert_eq!(images.own.lock().unwrap().len(), MAX_OWN);
    }
}
