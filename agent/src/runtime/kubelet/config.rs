//! How to reach the kubelet and how to trust it, in checked form.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use super::trust::Trust;

/// How to reach the kubelet and how to trust it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host and port to dial.
    pub address: String,
    /// The name that its certificate must have, where a CA is trusted.
    pub server_name: ServerName<'static>,
    /// Which certificate is trusted.
    pub trust: Trust,
    /// A file with a bearer token, read anew for each request.
    pub token_file: Option<PathBuf>,
    /// A certificate to show instead of a token, or beside it.
    pub client: Option<ClientFiles>,
}

/// A client certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}
