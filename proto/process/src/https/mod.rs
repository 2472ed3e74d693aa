//! TLS for peers without a certificate: bounded connections, and a certificate that follows its files.

mod certificate;
mod connections;

pub use certificate::{Certificate, Files, certificate};
pub use connections::{Peer, serve};
