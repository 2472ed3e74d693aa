//! The section `desk` of the signer's configuration.

use std::net::SocketAddr;

use serde::Deserialize;

/// A checked section. Each field is explained in `signer.example.yaml`.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct File {
    listen: SocketAddr,
}

impl File {
    pub(crate) fn check(self) -> Result<Config, (&'static str, String)> {
        Ok(Config {
            listen: self.listen,
        })
    }
}
