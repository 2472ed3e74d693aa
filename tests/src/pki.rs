//! A certificate authority for one test: issues server and client certificates, and asks for
//! client certificates as Kubernetes servers do, where the handshake takes any certificate and
//! only the request is refused (Go's `tls.RequestClientCert`).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};

/// A certificate authority with a fresh P-256 key.
pub struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate of a [`Pki`] and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate alone, without the authority's.
    pub cert_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

/// Where [`Issued::write`] put the two files.
#[derive(Clone, Debug)]
pub struct IssuedFiles {
    /// `<dir>/<name>.crt`
    pub cert: PathBuf,
    /// `<dir>/<name>.key`
    pub key: PathBuf,
}

impl Pki {
    /// A new authority.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn new() -> Result<Self> {
        let mut params = named("stand-ca", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { ca })
    }

    /// The authority's certificate.
    pub fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// Writes the authority's certificate to `<dir>/ca.crt`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_ca(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join("ca.crt");
        std::fs::write(&path, self.ca_pem()).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// A certificate for these DNS names or IP addresses, good for servers and clients. Its
    /// common name is the first of them.
    ///
    /// # Errors
    /// When a name is no DNS name.
    pub fn issue(&self, names: &[&str]) -> Result<Issued> {
        let mut params = named(names.first().copied().unwrap_or("stand"), &[]);
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(ip) => Ok(SanType::IpAddress(ip)),
                Err(_) => Ok(SanType::DnsName((*name).try_into()?)),
            })
            .collect::<Result<_>>()?;
        self.sign(params, true)
    }

    /// A client certificate: the common name is the user, the organizations are the groups, as
    /// Kubernetes reads them.
    ///
    /// # Errors
    /// When the key cannot be made.
    pub fn client(&self, common_name: &str, organizations: &[&str]) -> Result<Issued> {
        self.sign(named(common_name, organizations), false)
    }

    /// A certificate of exactly these parameters, to test what [`issue`](Self::issue) cannot
    /// make, such as URI names.
    ///
    /// # Errors
    /// When the parameters cannot be encoded.
    pub fn issue_params(&self, params: &CertificateParams) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.ca)?;
        Ok(Issued {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    fn sign(&self, mut params: CertificateParams, server: bool) -> Result<Issued> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if server {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        self.issue_params(&params)
    }

    /// A store that trusts this authority alone.
    ///
    /// # Errors
    /// Never for an authority of [`Pki::new`].
    pub fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone())?;
        Ok(roots)
    }

    /// What checks the certificate of a client after the handshake.
    ///
    /// # Errors
    /// Never for an authority of [`Pki::new`].
    pub fn clients(&self) -> Result<Clients> {
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
        Ok(Clients { verifier })
    }

    /// TLS of a server that shows `issued`, HTTP/1.1 in ALPN; client certificates are asked
    /// for, not demanded and not checked: that is [`Clients::user`].
    ///
    /// # Errors
    /// When `issued` is not readable.
    pub fn server_config(&self, issued: &Issued) -> Result<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(Ask(self.clients()?.verifier)))
            .with_single_cert(issued.chain()?, issued.key()?)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// TLS of a client that trusts this authority and shows `issued`, if given. No ALPN.
    ///
    /// # Errors
    /// When `issued` is not readable.
    pub fn client_config(&self, issued: Option<&Issued>) -> Result<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots()?);
        Ok(match issued {
            Some(issued) => config.with_client_auth_cert(issued.chain()?, issued.key()?)?,
            None => config.with_no_client_auth(),
        })
    }
}

impl Issued {
    /// Writes `<dir>/<name>.crt` and `<dir>/<name>.key`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &Path, name: &str) -> Result<IssuedFiles> {
        let files = IssuedFiles {
            cert: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
        };
        for (path, text) in [(&files.cert, &self.cert_pem), (&files.key, &self.key_pem)] {
            std::fs::write(path, text).with_context(|| path.display().to_string())?;
        }
        Ok(files)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        CertificateDer::pem_slice_iter(self.cert_pem.as_bytes())
            .map(|cert| cert.context("certificate"))
            .collect()
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).context("key")
    }
}

/// Tells who a client is by its certificate.
#[derive(Clone, Debug)]
pub struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    /// The common name of the client whose chain this is, if the authority issued it.
    pub fn user(&self, chain: &[CertificateDer<'_>]) -> Option<String> {
        let (cert, rest) = chain.split_first()?;
        self.verifier
            .verify_client_cert(cert, rest, UnixTime::now())
            .ok()?;
        common_name(cert)
    }
}

/// The subject's common name. The issuer's stands before it, and no extension that this
/// authority writes holds the same OID, so it is the last one.
fn common_name(cert: &[u8]) -> Option<String> {
    const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
    let at = cert
        .windows(COMMON_NAME.len())
        .rposition(|window| window == COMMON_NAME)?;
    let (_tag, rest) = cert.get(at + COMMON_NAME.len()..)?.split_first()?;
    let (length, rest) = rest.split_first()?;
    String::from_utf8(rest.get(..usize::from(*length))?.to_vec()).ok()
}

fn named(common_name: &str, organizations: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for organization in organizations {
        params
            .distinguished_name
            .push(DnType::OrganizationName, *organization);
    }
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn provider() -> Arc<CryptoProvider> {
    // Named, because another crate of the workspace may enable a second provider, and then
    // rustls has no default.
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Takes any client certificate whose key the client holds.
#[derive(Debug)]
struct Ask(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Ask {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_this_authority_has_a_name_and_of_another_none() {
        let (ours, other) = (Pki::new().unwrap(), Pki::new().unwrap());
        let issued = ours.client("agent-1", &["system:masters", "ops"]).unwrap();
        let chain = issued.chain().unwrap();
        assert_eq!(
            ours.clients().unwrap().user(&chain).as_deref(),
            Some("agent-1")
        );
        assert_eq!(other.clients().unwrap().user(&chain), None);
    }
}
