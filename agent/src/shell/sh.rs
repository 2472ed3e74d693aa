//! How an image's shell is called.

/// By its name, and by its usual path for images whose PATH leads to none.
pub(crate) const NAMES: [&str; 2] = ["sh", "/bin/sh"];
