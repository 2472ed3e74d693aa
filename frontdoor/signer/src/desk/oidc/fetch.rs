//! Reads an issuer's documents over HTTPS: no redirects, no proxy, bounded in time and size. Each has a
//! connection of its own, which ends with the answer.

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use podgate_process::mtls;
use podgate_process::reload::Reloaded;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The limit for a whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a document, at most.
const MAX_BYTES: usize = 256 * 1024;

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("caFile: {0}")]
    Authority(#[from] mtls::Error),
    #[error("there are no CA certificates on this machine: {0}; name a caFile")]
    NoAuthorities(String),
    #[error("{0} is not an https URL")]
    Url(String),
    #[error("{0} cannot be reached: {1}")]
    Dial(String, std::io::Error),
    #[error("{0} does not answer: {1}")]
    Http(String, hyper::Error),
    #[error("{0} does not answer within {ANSWER_TIMEOUT:?}")]
    Timeout(String),
    #[error("{0} answers {1}")]
    Status(String, StatusCode),
    #[error("{0} sends an answer that is too long or incomplete")]
    Body(String),
    #[error("{0} does not answer as an issuer: {1}")]
    Json(String, serde_json::Error),
}

/// Trusts the CAs of a file, or those of this machine.
#[derive(Debug)]
pub(super) struct Fetch(Reloaded<ClientConfig, Error>);

impl Fetch {
    pub(super) fn new(ca: Option<PathBuf>) -> Result<Self, Error> {
        let files = ca.iter().cloned().collect();
        let read = move || {
            let roots = match &ca {
                Some(path) => mtls::roots(path)?,
                None => of_this_machine()?,
            };
            Ok(ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth())
        };
        Ok(Self(Reloaded::load(files, read)?))
    }

    /// Reads the JSON document at this URL.
    pub(super) async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, Error> {
        let body = timeout(ANSWER_TIMEOUT, self.get(url))
            .await
            .map_err(|_| Error::Timeout(url.to_owned()))??;
        serde_json::from_slice(&body).map_err(|error| Error::Json(url.to_owned(), error))
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, Error> {
        let wrong = || Error::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("https") || authority.as_str().contains('@') {
            return Err(wrong());
        }
        // A URL has brackets around an IPv6 address; a server name and a socket address do not.
        let host = authority.host().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
        let dial = |error| Error::Dial(url.to_owned(), error);
        let http = |error| Error::Http(url.to_owned(), error);
        let port = authority.port_u16().unwrap_or(443);
        let stream = TcpStream::connect((host, port)).await.map_err(dial)?;
        let connector = TlsConnector::from(self.0.current().await);
        let stream = connector.connect(name, stream).await.map_err(dial)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|_| wrong())?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(http)?;
            if answer.status() != StatusCode::OK {
                return Err(Error::Status(url.to_owned(), answer.status()));
            }
            let body = axum::body::to_bytes(Body::new(answer.into_body()), MAX_BYTES).await;
            Ok(body.map_err(|_| Error::Body(url.to_owned()))?.into())
        };
        // The connection may end before its answer is read.
        let connection = async {
            let _ = connection.await;
            std::future::pending().await
        };
        tokio::select! {
            answer = answer => answer,
            never = connection => never,
        }
    }
}

fn of_this_machine() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(Error::NoAuthorities(errors.join(", ")));
    }
    Ok(roots)
}
