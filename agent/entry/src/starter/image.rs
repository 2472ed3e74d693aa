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
use podgate_node_entry::reason::Reason;

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
    sealing: Sealing,
    own: Mutex<VecDeque<(ContainerId, Arc<OwnedFd>)>>,
}

/// What this kernel makes of a program in memory.
#[derive(Debug)]
enum Sealing {
    /// One for all containers.
    Whole(Arc<OwnedFd>),
    /// One for each container.
    Partial,
    /// None at all: vm.memfd_noexec is 2 (memfd_create(2), EACCES).
    Forbidden,
}

impl Images {
    pub(crate) fn new(name: &'static str, program: Vec<u8>) -> Result<Self, Error> {
        check(&program)?;
        let sealing = match seal(name, &program, true) {
            Err(error) if is(&error, Errno::INVAL) => Sealing::Partial,
            Err(error) if is(&error, Errno::ACCESS) => Sealing::Forbidden,
            sealed => Sealing::Whole(Arc::new(sealed?)),
        };
        Ok(Self {
            name,
            program,
            sealing,
            own: Mutex::default(),
        })
    }

    /// What the log says of it.
    pub(crate) fn words(&self) -> &'static str {
        match &self.sealing {
            Sealing::Whole(_) => "one launcher for all containers",
            Sealing::Partial => {
                "a launcher for each container, as this kernel cannot seal it (Linux 6.3)"
            }
            Sealing::Forbidden => {
                "no launcher: the node forbids programs from memory (vm.memfd_noexec is 2), so nothing is started here"
            }
        }
    }

    /// The memfd for a container.
    pub(crate) fn of(&self, container: &ContainerId) -> Result<Arc<OwnedFd>, Reason> {
        match &self.sealing {
            Sealing::Whole(shared) => return Ok(shared.clone()),
            Sealing::Forbidden => return Err(Reason::MemoryProgram),
            Sealing::Partial => {}
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, image)) = own.iter().find(|(id, _)| id == container) {
            return Ok(image.clone());
        }
        let sealed = seal(self.name, &self.program, false);
        let sealed = sealed.map_err(|error| match is(&error, Errno::ACCESS) {
            true => Reason::MemoryProgram,
            false => Reason::Entry(error.to_string()),
        });
        let image = Arc::new(sealed?);
        if own.len() >= MAX_OWN {
            own.pop_front();
        }
        own.push_back((container.clone(), image.clone()));
        Ok(image)
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
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
        if matches!(images.sealing, Sealing::Whole(_)) {
            assert!(fchmod(&image, Mode::empty()).is_err());
            assert!(Arc::ptr_eq(&image, &images.of(&id('b')).unwrap()));
        }
    }

    #[test]
    fn without_the_seal_each_container_has_its_own() {
        let images = Images {
            name: "podgate-launcher",
            program: program(1),
            sealing: Sealing::Partial,
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
