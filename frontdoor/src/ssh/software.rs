//! What a client's identification says of the client.

use std::sync::OnceLock;

/// Begins the identification of libssh, but not that of libssh2.
const LIBSSH: &[u8] = b"SSH-2.0-libssh_";

/// A client's software, once it is known.
#[derive(Default)]
pub(super) struct Software {
    draft_links: OnceLock<bool>,
}

impl Software {
    /// Notes the identification, as the client has sent it.
    pub(super) fn says(&self, identification: &[u8]) {
        let libssh = || identification.starts_with(LIBSSH);
        self.draft_links.get_or_init(libssh);
    }

    /// Whether it names a link before its target in SFTP, as the draft does. libssh does so, unless the
    /// server calls itself OpenSSH with a number behind it (sftp_symlink of libssh's sftp.c).
    pub(super) fn has_draft_links(&self) -> bool {
        self.draft_links.get().is_some_and(|draft| *draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libssh_is_told_from_libssh2() {
        let draft = |identification: &str| {
            let software = Software::default();
            software.says(identification.as_bytes());
            software.has_draft_links()
        };
        assert!(draft("SSH-2.0-libssh_0.10.6"));
        for other in ["SSH-2.0-libssh2_1.11.0", "SSH-2.0-OpenSSH_9.2", ""] {
            assert!(!draft(other), "{other}");
        }
        assert!(!Software::default().has_draft_links());
    }
}
