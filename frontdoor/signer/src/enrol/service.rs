//! The service that parts call. A caller shows no certificate, so calls are bounded in number, size and
//! time before the API server is asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use podgate_identity::kubernetes::Client;
use podgate_proto::limits::ENROLMENT_VERSIONS;
use podgate_proto::v1::enrolment_server::Enrolment;
use podgate_proto::v1::{EnrolRequest, EnrolResponse};
use rustls::ServerConfig;
use tonic::{Request, Response, Status};

use super::{caller, version};
use crate::ca::{Ca, Point, SignError};
use crate::config;
use crate::metrics::Metrics;
use crate::tokens::{self, Tokens};
use podgate_identity::bucket::Bucket;

/// Enrolment's TokenReviews at a time.
const REVIEWS: usize = 64;
/// Calls that are accepted at once after a quiet time. Each costs the API server a review.
const BURST: u32 = 500;
/// Calls a second in the long run: a cluster of 5,000 nodes enrols in a minute and a half.
const STEADY: f64 = 50.0;

/// Why a call gave no certificate.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Version(#[from] version::Error),
    #[error("too many calls; try again")]
    Rate,
    #[error("this signer has no CA yet")]
    NoCa,
    #[error(transparent)]
    Token(#[from] tokens::Error),
    #[error(transparent)]
    Caller(#[from] caller::Error),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The service.
#[derive(Clone)]
pub(crate) struct Enrol(Arc<Inner>);

struct Inner {
    config: config::Enrolment,
    tokens: Tokens,
    ca: Arc<Ca>,
    metrics: Arc<Metrics>,
    rate: Mutex<Bucket>,
}

impl Enrol {
    pub(crate) fn new(
        config: config::Enrolment,
        client: Client,
        ca: Arc<Ca>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let rate = Mutex::new(Bucket::full(BURST, STEADY, Instant::now()));
        Self(Arc::new(Inner {
            config,
            tokens: Tokens::new(client, REVIEWS),
            ca,
            metrics,
            rate,
        }))
    }

    /// The TLS settings of the moment, once there is a CA.
    pub(super) fn tls(&self) -> Option<Arc<ServerConfig>> {
        let issuing = self.0.ca.issuing()?;
        Some(Arc::clone(&issuing.tls))
    }

    fn take(&self) -> bool {
        let mut rate = self.0.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(Instant::now())
    }

    async fn answer(&self, request: EnrolRequest) -> Result<EnrolResponse, Error> {
        let Inner {
            config, tokens, ca, ..
        } = &*self.0;
        let version = version::version(&ENROLMENT_VERSIONS, &request)?;
        if !self.take() {
            return Err(Error::Rate);
        }
        let key = Point::new(&request.public_key)?;
        let user = tokens.review(&request.token, &config.audience).await?;
        let caller = caller::caller(&user, config)?;
        let issuing = ca.issuing().ok_or(Error::NoCa)?;
        let authority = &issuing.authority;
        let issued = authority.issue(&caller.name, caller.end, &key, config.lifetime);
        let (certificate, lifetime) = issued?;
        let lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        tracing::info!(name = caller.name, pod = caller.pod, lifetime, "enrolled");
        Ok(EnrolResponse {
            certificate: certificate.to_vec().into(),
            issuer: authority.certificate().to_vec().into(),
            lifetime,
            version,
        })
    }
}

#[tonic::async_trait]
impl Enrolment for Enrol {
    async fn enrol(
        &self,
        request: Request<EnrolRequest>,
    ) -> Result<Response<EnrolResponse>, Status> {
        match self.answer(request.into_inner()).await {
            Ok(answer) => {
                self.0.metrics.enrolment("enrolled");
                Ok(Response::new(answer))
            }
            Err(error) => {
                tracing::warn!(%error, "not enrolled");
                let (outcome, status) = status(&error);
                self.0.metrics.enrolment(outcome);
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
        Error::Rate => ("rate", Status::resource_exhausted(words)),
        Error::NoCa => ("not_ready", Status::unavailable(words)),
        Error::Token(tokens::Error::Unanswered(_)) => (
            "api_server",
            Status::unavailable("the API server could not be asked"),
        ),
        Error::Token(_) => ("token", Status::unauthenticated("the token is not taken")),
        Error::Caller(_) => ("caller", Status::permission_denied(words)),
        Error::Sign(SignError::Point) => ("key", Status::invalid_argument(words)),
        Error::Sign(_) => ("sign", Status::internal("the CA cannot sign")),
    }
}
