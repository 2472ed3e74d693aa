//! What `--version` prints.

/// The version, and the commit that an image was built from (see the Dockerfiles).
pub fn long() -> String {
    let commit = option_env!("PODGATE_COMMIT").unwrap_or("commit unknown");
    format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
}
