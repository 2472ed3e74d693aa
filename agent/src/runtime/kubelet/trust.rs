//! Which certificate of the kubelet is trusted: one of given CAs with the right name, or the very one that
//! lies on the node. Except in mode `Anything`, whoever answers must have the certificate's key.

use std::path::PathBuf;
use std::sync::Arc;

use podgate_process::mtls;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme,
};

/// Whose certificate is trusted. Files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// One that these CAs have issued for the configured name.
    Ca(PathBuf),
    /// The first certificate of this file, whatever names and dates it has. The one that a kubelet makes
    /// for itself names only its host, holds for a year and is never renewed (kubernetes #99418).
    Certificate(PathBuf),
    /// Any: whoever answers at the address gets the agent's token.
    Anything,
}

impl Trust {
    /// The file that it is read from.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Ca(file) | Self::Certificate(file) => Some(file),
            Self::Anything => None,
        }
    }

    /// A client's configuration, without a certificate of its own.
    pub(super) fn client(
        &self,
    ) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, mtls::Error> {
        let builder = ClientConfig::builder();
        let certificate = match self {
            Self::Ca(file) => return Ok(builder.with_root_certificates(mtls::roots(file)?)),
            Self::Certificate(file) => mtls::certificates(file)?.into_iter().next(),
            Self::Anything => None,
        };
        let provider = Arc::clone(builder.crypto_provider());
        let holder = Arc::new(Holder {
            certificate,
            provider,
        });
        Ok(builder.dangerous().with_custom_certificate_verifier(holder))
    }
}

/// Trusts whoever holds the key of one certificate, or of any that is shown.
#[derive(Debug)]
struct Holder {
    certificate: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Holder {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.certificate {
            Some(certificate) if certificate != shown => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
