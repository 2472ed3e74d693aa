//! OpenSSH's authenticator in software, of its own tests: it signs as a security key does, and says it
//! was touched and has verified its user as its key was made.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;
use tokio::sync::OnceCell;

const IN_PACKAGE: &str = "usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";

/// The library, for `SecurityKeyProvider`: of Debian's package openssh-tests, which is fetched if it is
/// not installed.
///
/// # Errors
/// When the package cannot be had.
pub async fn provider() -> Result<PathBuf> {
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    FOUND.get_or_try_init(find).await.cloned()
}

async fn find() -> Result<PathBuf> {
    let installed = Path::new("/").join(IN_PACKAGE);
    if installed.exists() {
        return Ok(installed);
    }
    let dir = tempfile::tempdir()?.keep();
    // The package itself wants an sshd to be installed.
    let fetch = "apt-get -qq download openssh-tests && dpkg-deb -x openssh-tests_*.deb .";
    let mut shell = Command::new("sh");
    let fetched = shell.args(["-c", fetch]).current_dir(&dir).output().await?;
    let library = dir.join(IN_PACKAGE);
    let words = String::from_utf8_lossy(&fetched.stderr);
    library
        .exists()
        .then_some(library)
        .context(words.into_owned())
}
