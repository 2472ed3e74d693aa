//! OpenSSH's authenticator in software, of its own tests: it signs as a security key does, and says it
//! was touched and has verified its user as its key was made.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::fixtures::gateway::binary;

const IN_PACKAGE: &str = "usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";

/// The library, for `SecurityKeyProvider`: of Debian's package openssh-tests, which is installed, or lies where
/// `tests/regress/run --install` puts it.
///
/// # Errors
/// When it is at neither place.
pub fn provider() -> Result<PathBuf> {
    let target = binary("stand")?;
    let target = target.ancestors().nth(2).context("no target folder")?;
    let folders = [PathBuf::from("/"), target.join("openssh-tests")];
    let mut libraries = folders.iter().map(|folder| folder.join(IN_PACKAGE));
    let found = libraries.find(|library| library.exists());
    found.context("openssh-tests is not there; run: tests/regress/run --install")
}
