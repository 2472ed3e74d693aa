//! One call of the signer. The token is sent only to a peer whose certificate comes from a trusted CA
//! and is for `signer.podgate`. Files are read directly: no session runs on this thread.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use bytes::Bytes;
use http::Uri;
use hyper_util::rt::TokioIo;
use podgate_proto::limits::{CONNECT_TIMEOUT, ENROL_TIMEOUT, ENROLMENT_VERSIONS, RELEASE};
use podgate_proto::v1::enrolment_client::EnrolmentClient;
use podgate_proto::v1::{EnrolRequest, EnrolResponse};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::config::Config;
use crate::mtls::{self, ALPN, IssuedCertificate, SIGNER_NAME, Trusted};

/// The fewest seconds between two requests, whatever a signer asks for.
const SOONEST: u32 = 10;

/// SSH certificates of host keys, in the format of OpenSSH's PROTOCOL.certkeys.
pub type HostCertificates = Arc<[Bytes]>;

/// The signer gave no certificate this time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot read {path}: {source}")]
    Token { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Trust(mtls::Error),
    #[error("the CA of the certificate is not in {0} yet")]
    Bundle(PathBuf),
    #[error("cannot make a key: {0}")]
    Key(#[from] aws_lc_rs::error::Unspecified),
    #[error("the signer's name, {host}, cannot be resolved: {reason}")]
    Resolve { host: String, reason: String },
    #[error("the signer cannot be reached: {0}")]
    Connect(String),
    #[error("the signer does not answer within {0:?}")]
    Timeout(Duration),
    #[error("the signer refuses: {0}")]
    Refused(String),
    #[error("the signer's answer is not a certificate")]
    Answer,
    #[error("the signer answers by version {0} of enrolment, which was not asked for")]
    Version(u32),
}

/// A client of the signer.
#[derive(Debug)]
pub(super) struct Signer {
    config: Config,
    uri: Uri,
    trusted: Arc<Trusted>,
    /// SSH host keys that are to be certified.
    host_keys: Vec<Bytes>,
}

/// What the signer gave.
pub(super) struct Issued {
    pub(super) certificate: IssuedCertificate,
    /// In seconds.
    pub(super) lifetime: u32,
    pub(super) host_certificates: HostCertificates,
    /// When to ask again because the signer could not certify the host keys.
    pub(super) ask_again: Option<Duration>,
}

impl Signer {
    /// `trusted` are the CAs of `config`.
    pub(super) fn new(config: Config, uri: Uri, trusted: Arc<Trusted>) -> Self {
        Self {
            config,
            uri,
            trusted,
            host_keys: Vec::new(),
        }
    }

    /// Has these SSH host keys certified, too.
    pub(super) fn certify(&mut self, host_keys: Vec<Bytes>) {
        self.host_keys = host_keys;
    }

    /// Makes a new key, and gets a certificate for it.
    pub(super) async fn enrol(&self) -> Result<Issued, Error> {
        let path = &self.config.token_file;
        let token = std::fs::read_to_string(path).map_err(|source| Error::Token {
            path: path.clone(),
            source,
        })?;
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        let mut request = request(&ENROLMENT_VERSIONS, token.trim(), key.public_key().as_ref());
        request.host_keys.clone_from(&self.host_keys);
        let asked = Instant::now();
        let answer = timeout(ENROL_TIMEOUT, self.call(request))
            .await
            .map_err(|_| Error::Timeout(ENROL_TIMEOUT))??;
        check_version(&ENROLMENT_VERSIONS, answer.version)?;
        let issuer = CertificateDer::from(answer.issuer.to_vec());
        // Peers trust the CAs in the bundle alone.
        if !self.trusts(&issuer)? {
            return Err(Error::Bundle(self.config.ca.clone()));
        }
        let pkcs8 = key.to_pkcs8v1()?;
        let held = IssuedCertificate {
            certificate: CertificateDer::from(answer.certificate.to_vec()),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec())),
            issuer,
            expires: asked + Duration::from_secs(u64::from(answer.lifetime)),
        };
        if held.certificate.is_empty() || answer.lifetime == 0 {
            return Err(Error::Answer);
        }
        Ok(Issued {
            certificate: held,
            lifetime: answer.lifetime,
            host_certificates: answer.host_certificates.into(),
            ask_again: ask_again(answer.ask_again),
        })
    }

    /// Whether a CA is in the bundle now.
    pub(super) fn trusts(&self, ca: &CertificateDer<'_>) -> Result<bool, Error> {
        let bundle = mtls::certificates(&self.config.ca).map_err(Error::Trust)?;
        Ok(bundle.iter().any(|found| found == ca))
    }

    async fn call(&self, request: EnrolRequest) -> Result<EnrolResponse, Error> {
        let tls = self.connect().await?;
        // One connection serves one call, so the connector gives it away once.
        let mut stream = Some(TokioIo::new(tls));
        let connector = tower::service_fn(move |_: Uri| {
            let stream = stream.take();
            async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
        });
        let channel = Endpoint::from_static("http://signer.podgate")
            .connect_with_connector(connector)
            .await
            .map_err(|error| Error::Connect(error.to_string()))?;
        let answer = EnrolmentClient::new(channel).enrol(request).await;
        answer.map(tonic::Response::into_inner).map_err(refused)
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, Error> {
        let roots = self.trusted.roots().await.map_err(Error::Trust)?;
        let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let name = ServerName::try_from(SIGNER_NAME).map_err(|_| Error::Answer)?;
        let host = self.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = self.uri.port_u16().unwrap_or(443);
        let addresses = resolve(host, port).await?;
        let connect = async {
            let tcp = TcpStream::connect(addresses.as_slice()).await?;
            TlsConnector::from(Arc::new(config))
                .connect(name, tcp)
                .await
        };
        let stream = timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| Error::Timeout(CONNECT_TIMEOUT))?
            .map_err(|error| Error::Connect(format!("{}: {error}", self.uri)))?;
        mtls::check_peer(stream.get_ref().1.peer_certificates(), SIGNER_NAME)
            .map_err(Error::Trust)?;
        Ok(stream)
    }
}

/// The addresses of the signer.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let failed = |reason: String| Error::Resolve {
        host: host.to_owned(),
        reason,
    };
    match timeout(CONNECT_TIMEOUT, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed(format!("no answer within {CONNECT_TIMEOUT:?}"))),
    }
}

/// A request of a part that speaks these versions.
fn request(versions: &RangeInclusive<u32>, token: &str, public_key: &[u8]) -> EnrolRequest {
    EnrolRequest {
        protocol_version: *versions.start(),
        token: token.to_owned(),
        public_key: public_key.to_vec().into(),
        highest_version: *versions.end(),
        release: RELEASE.to_owned(),
        host_keys: Vec::new(),
    }
}

/// The pause until the next request that a signer asks for.
fn ask_again(seconds: u32) -> Option<Duration> {
    let seconds = (seconds > 0).then(|| seconds.max(SOONEST));
    seconds.map(|seconds| Duration::from_secs(u64::from(seconds)))
}

/// Checks that the signer used one of these versions.
fn check_version(versions: &RangeInclusive<u32>, used: u32) -> Result<(), Error> {
    // The first release does not send it.
    let used = used.max(1);
    if versions.contains(&used) {
        Ok(())
    } else {
        Err(Error::Version(used))
    }
}

fn refused(status: Status) -> Error {
    match status.code() {
        Code::Unknown | Code::Cancelled => Error::Connect("the connection was lost".to_owned()),
        _ => Error::Refused(status.message().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_cannot_be_resolved_is_told() {
        let found = resolve("127.0.0.1", 8443).await.unwrap();
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 8443))]);
        // RFC 6761 §6.4
        let error = resolve("signer.invalid", 8443).await.unwrap_err();
        let expect = "the signer's name, signer.invalid, cannot be resolved: ";
        assert!(error.to_string().starts_with(expect), "{error}");
    }

    #[test]
    fn a_request_can_be_served_by_the_first_release() {
        let request = request(&(1..=3), "token", &[4; 65]);
        // The first release takes version 1 alone, and reads the first three fields.
        assert_eq!(request.protocol_version, 1);
        assert_eq!((request.highest_version, &*request.release), (3, RELEASE));
        assert_eq!((&*request.token, request.public_key.len()), ("token", 65));
    }

    #[test]
    fn a_signer_cannot_ask_for_requests_without_end() {
        let seconds = |asked| ask_again(asked).map(|pause| pause.as_secs());
        assert_eq!([0, 1, 60].map(seconds), [None, Some(10), Some(60)]);
    }

    #[test]
    fn an_answer_is_of_a_version_that_was_asked_for() {
        let check = |versions: RangeInclusive<u32>, used: u32, expect: bool| {
            let found = check_version(&versions, used);
            assert_eq!(found.is_ok(), expect, "{versions:?} {used}");
        };
        check(1..=2, 1, true);
        check(1..=2, 2, true);
        check(1..=2, 3, false);
        check(2..=3, 1, false);
        // The first release, which does not say its version.
        check(1..=2, 0, true);
        check(2..=3, 0, false);
    }
}
