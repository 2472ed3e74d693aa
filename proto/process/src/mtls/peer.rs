//! The names in the programs' certificates, and whether a peer's certificate has the right one.

use rustls::pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

use super::error::Error;

/// The name in every frontdoor's certificate.
pub const FRONTDOOR_NAME: &str = "frontdoor.podgate";

/// The name in the signer's certificate.
pub const SIGNER_NAME: &str = "signer.podgate";

/// The name in the certificate of the agent on `node`.
pub fn agent_name(node: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(format!("{node}.agent.podgate"))
        .map_err(|_| Error::NodeName(node.to_owned()))
}

/// Checks that a peer's certificate is for `name`, after the handshake has verified that it comes from
/// the CA. Names are compared letter by letter: a wildcard is nobody's name.
pub fn check_peer(chain: Option<&[CertificateDer<'_>]>, name: &str) -> Result<(), Error> {
    let leaf = chain.and_then(<[_]>::first).ok_or(Error::NoCertificate)?;
    let leaf = EndEntityCert::try_from(leaf).map_err(Error::Certificate)?;
    if leaf.valid_dns_names().any(|found| found == name) {
        Ok(())
    } else {
        Err(Error::WrongPeer(name.to_owned()))
    }
}
