//! The certificate that people's programs see.

use std::path::PathBuf;

use rustls::ServerConfig;
use serde::Deserialize;

use crate::mtls;
use crate::reload::Reloaded;

/// A certificate and its key, in PEM files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the example configurations have them")]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// TLS settings that follow their files.
pub type Certificate = Reloaded<ServerConfig, mtls::Error>;

/// Reads the certificate for the first time, for HTTP/1.1.
pub fn certificate(files: Files) -> Result<Certificate, mtls::Error> {
    let paths = vec![files.cert.clone(), files.key.clone()];
    Reloaded::load(paths, move || {
        let chain = mtls::certificates(&files.cert)?;
        let key = mtls::private_key(&files.key)?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    })
}
