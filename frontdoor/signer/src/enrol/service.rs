//! The service that parts call. A caller shows no certificate, so calls are bounded in number, size and
//! time before the API server is asked: one call a connection, a rate for each address, a rate for all.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use podgate_identity::kubernetes::Client;
use podgate_identity::kubernetes::token_reviews::{self, TokenReviews};
use podgate_process::bucket::Bucket;
use podgate_process::https::Peer;
use podgate_process::token_rates::TokenRates;
use podgate_proto::limits::ENROLMENT_VERSIONS;
use podgate_proto::v1::enrolment_server::Enrolment;
use podgate_proto::v1::{EnrolRequest, EnrolResponse};
use rustls::ServerConfig;
use tonic::{Request, Response, Status};

use super::caller::{self, Caller};
use super::version;
use crate::ca::{Ca, Point, SignError};
use crate::config;
use crate::hosts::Hosts;
use crate::metrics::Metrics;

/// Enrolment's TokenReviews at a time.
const REVIEWS: usize = 64;
/// Calls that are accepted at once after a quiet time. Each costs the API server a review.
const BURST: u32 = 500;
/// Calls a second in the long run: a cluster of 5,000 nodes enrols in a minute and a half.
const STEADY: f64 = 50.0;

/// Seconds after which a frontdoor asks again if there was no CA for its host keys.
const ASK_AGAIN: u32 = 60;

/// Why a call gave no certificate.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Version(#[from] version::Error),
    #[error("one call a connection")]
    Again,
    #[error("too many calls; try again")]
    Rate,
    #[error("too many tokens from your address were refused; try again")]
    AddressRate,
    #[error("this signer has no CA yet")]
    NoCa,
    #[error(transparent)]
    Token(#[from] token_reviews::Error),
    #[error(transparent)]
    Caller(#[from] caller::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

#[derive(Clone)]
pub(crate) struct Enrol(Arc<Inner>);

struct Inner {
    config: config::Enrolment,
    tokens: TokenReviews,
    ca: Arc<Ca>,
    hosts: Option<Arc<Hosts>>,
    metrics: Arc<Metrics>,
    rates: Mutex<Rates>,
}

struct Rates {
    all: Bucket,
    /// Per address, counts tokens that get no certificate.
    asked: TokenRates,
}

/// The service for one connection.
#[derive(Clone)]
pub(super) struct Connection {
    enrol: Enrol,
    peer: Peer,
    called: Arc<AtomicBool>,
}

impl Enrol {
    pub(crate) fn new(
        config: config::Enrolment,
        client: Client,
        (ca, hosts): (Arc<Ca>, Option<Arc<Hosts>>),
        metrics: Arc<Metrics>,
    ) -> Self {
        let rates = Rates {
            all: Bucket::full(BURST, STEADY, Instant::now()),
            asked: TokenRates::new(config.refused_a_minute),
        };
        Self(Arc::new(Inner {
            config,
            tokens: TokenReviews::new(client, REVIEWS),
            ca,
            hosts,
            metrics,
            rates: Mutex::new(rates),
        }))
    }

    /// The TLS settings of the moment, once there is a CA.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        let issuing = self.0.ca.issuing()?;
        Some(Arc::clone(&issuing.tls))
    }

    pub(super) fn for_peer(&self, peer: Peer) -> Connection {
        Connection {
            enrol: self.clone(),
            peer,
            called: Arc::default(),
        }
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.0.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a call from the rate of an address, and then from the rate of all.
    fn take(&self, peer: IpAddr) -> Result<(), Error> {
        let (mut rates, now) = (self.rates(), Instant::now());
        if !rates.asked.ask(peer, now) {
            return Err(Error::AddressRate);
        }
        rates.all.take(now).then_some(()).ok_or(Error::Rate)
    }

    async fn answer(&self, request: EnrolRequest, peer: IpAddr) -> Result<EnrolResponse, Error> {
        let Inner {
            config, tokens, ca, ..
        } = &*self.0;
        let version = version::version(&ENROLMENT_VERSIONS, &request)?;
        let key = Point::new(&request.public_key)?;
        // A token whose own claims say that it is not for enrolment uses up nobody's rate.
        token_reviews::check(&request.token, &config.audience)?;
        self.take(peer)?;
        let user = tokens.review(&request.token, &config.audience).await?;
        let caller = caller::caller(&user, config)?;
        self.rates().asked.give_back(peer);
        let issuing = ca.issuing().ok_or(Error::NoCa)?;
        let authority = &issuing.authority;
        let issued = authority.issue(&caller.name, caller.end, &key, config.lifetime);
        let (certificate, lifetime) = issued?;
        let lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        tracing::info!(name = caller.name, pod = caller.pod, lifetime, "enrolled");
        let (host_certificates, ask_again) = self.certify(&caller, &request.host_keys).await;
        Ok(EnrolResponse {
            certificate: certificate.to_vec().into(),
            issuer: authority.certificate().to_vec().into(),
            lifetime,
            version,
            host_certificates,
            ask_again,
        })
    }

    /// Host certificates, which frontdoors alone get. While their CA is missing, a frontdoor gets none and
    /// is told when to ask again: the link works without them.
    async fn certify(&self, caller: &Caller, keys: &[Bytes]) -> (Vec<Bytes>, u32) {
        match &self.0.hosts {
            Some(hosts) if caller.is_frontdoor() && !keys.is_empty() => {
                let certified = hosts.certify(keys).await;
                certified.map_or((Vec::new(), ASK_AGAIN), |certified| (certified, 0))
            }
            _ => (Vec::new(), 0),
        }
    }
}

#[tonic::async_trait]
impl Enrolment for Connection {
    async fn enrol(
        &self,
        request: Request<EnrolRequest>,
    ) -> Result<Response<EnrolResponse>, Status> {
        self.peer.slot.settle();
        let answered = match self.called.swap(true, Ordering::Relaxed) {
            true => Err(Error::Again),
            false => {
                let (request, peer) = (request.into_inner(), self.peer.address.ip());
                self.enrol.answer(request, peer).await
            }
        };
        let metrics = &self.enrol.0.metrics;
        match answered {
            Ok(answer) => {
                metrics.enrolment("enrolled");
                Ok(Response::new(answer))
            }
            Err(error) => {
                tracing::warn!(peer = %self.peer.address, %error, "not enrolled");
                let (outcome, status) = status(&error);
                metrics.enrolment(outcome);
                Err(status)
            }
        }
    }
}

/// The word for the metrics, and the answer to the caller, who may be anybody.
fn status(error: &Error) -> (&'static str, Status) {
    let words = error.to_string();
    match error {
        Error::Version(_) => ("version", Status::failed_precondition(words)),
        Error::Again | Error::Rate | Error::AddressRate => {
            ("rate", Status::resource_exhausted(words))
        }
        Error::NoCa => ("not_ready", Status::unavailable(words)),
        Error::Token(token_reviews::Error::Unanswered(_)) => (
            "api_server",
            Status::unavailable("the API server could not be asked"),
        ),
        Error::Token(_) => (
            "token",
            Status::unauthenticated("the token is not accepted"),
        ),
        Error::Caller(_) => ("caller", Status::permission_denied(words)),
        Error::Sign(SignError::Point) => ("key", Status::invalid_argument(words)),
        Error::Sign(_) => ("sign", Status::internal("the CA cannot sign")),
    }
}
