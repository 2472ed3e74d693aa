//! Keeps a program enrolled: gets the first certificate, and each next one well before the last expires.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::call::{Error, HostCertificates, Issued, Signer};
use crate::jitter;
use crate::mtls::IssuedCertificate;
use crate::ready::{Ready, Waiting};

/// What the program waits for until it has a certificate.
const CERTIFICATE: &str = "its certificate from the signer";
/// The pause before the first attempt after one that failed. It doubles with each failure …
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// … up to this.
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// How often to check that the certificate's CA is still trusted.
const LOOK: Duration = Duration::from_secs(30);

/// What a program is told about its enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolmentEvent {
    /// There is a new certificate, good for this long from now.
    Enrolled {
        /// Seconds.
        lifetime: u32,
    },
    /// The signer gave none this time.
    Failed,
}

/// Keeps a program enrolled. It has nothing to do where the certificate comes from files.
#[derive(Debug)]
pub struct Enrolment {
    signer: Option<Signer>,
    held: watch::Sender<Option<Arc<IssuedCertificate>>>,
    host_certificates: watch::Sender<HostCertificates>,
    ready: Ready,
    /// The guard until the first certificate.
    waiting: Mutex<Option<Waiting>>,
}

impl Enrolment {
    pub(super) fn new(
        signer: Option<Signer>,
        held: watch::Sender<Option<Arc<IssuedCertificate>>>,
        ready: &Ready,
    ) -> Self {
        let waiting = signer.is_some().then(|| ready.wait_for(CERTIFICATE));
        Self {
            signer,
            held,
            host_certificates: watch::channel(HostCertificates::from([])).0,
            ready: ready.clone(),
            waiting: Mutex::new(waiting),
        }
    }

    /// Has these SSH host keys (RFC 4253 §6.6) certified with each enrolment. Returns their certificates
    /// as they are renewed; there are none before [`Self::enrolled`], or if the signer gives none.
    pub fn certify(&mut self, host_keys: Vec<Bytes>) -> watch::Receiver<HostCertificates> {
        if let Some(signer) = &mut self.signer {
            signer.certify(host_keys);
        }
        self.host_certificates.subscribe()
    }

    /// Waits until there is a certificate.
    pub async fn enrolled(&self) {
        if self.signer.is_some() {
            let mut held = self.held.subscribe();
            // The sender is here.
            let _ = held.wait_for(Option::is_some).await;
        }
    }

    /// Gets certificates for as long as it is polled. Does not return.
    pub async fn keep(&self, tell: impl Fn(EnrolmentEvent)) {
        match &self.signer {
            Some(signer) => {
                tokio::join!(self.renew(signer, tell), self.follow_expiry());
            }
            None => std::future::pending().await,
        }
    }

    async fn renew(&self, signer: &Signer, tell: impl Fn(EnrolmentEvent)) {
        let mut pause = FIRST_PAUSE;
        loop {
            match signer.enrol().await {
                Ok(Issued {
                    certificate,
                    lifetime,
                    host_certificates,
                    ask_again,
                }) => {
                    pause = FIRST_PAUSE;
                    tracing::info!(lifetime, "enrolled");
                    // Until there are others, the last ones are valid.
                    if ask_again.is_none() {
                        self.host_certificates.send_replace(host_certificates);
                    }
                    let held = Arc::new(certificate);
                    self.held.send_replace(Some(Arc::clone(&held)));
                    tell(EnrolmentEvent::Enrolled { lifetime });
                    until_due(signer, &held, lifetime, ask_again).await;
                }
                Err(error) => {
                    tell(EnrolmentEvent::Failed);
                    report(&error, self.held.borrow().as_ref().is_some_and(serves));
                    // So that programs that failed together spread out.
                    sleep(jitter::between(pause / 2, pause)).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// Holds the guard of readiness whenever there is no certificate, or an expired one.
    async fn follow_expiry(&self) {
        let mut waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut held = self.held.subscribe();
        loop {
            let good = held
                .wait_for(|held| held.as_ref().is_some_and(serves))
                .await;
            let expires = match good.as_deref() {
                Ok(Some(certificate)) => certificate.expires,
                // The sender is here.
                Ok(None) | Err(_) => return,
            };
            drop(good);
            drop(waiting.take());
            tokio::select! {
                _ = held.changed() => {}
                () = sleep_until(expires.into()) => {
                    waiting = Some(self.ready.wait_for(CERTIFICATE));
                }
            }
        }
    }
}

fn serves(certificate: &Arc<IssuedCertificate>) -> bool {
    certificate.expires > Instant::now()
}

fn report(error: &Error, serves: bool) {
    if serves {
        tracing::warn!(%error, "the signer gave no new certificate; the last one still serves");
    } else {
        tracing::warn!(%error, "not enrolled");
    }
}

/// Returns after two thirds of the lifetime, or a little less, so that programs that began together
/// spread out. Returns when the signer wants to be asked again, and at once when the CA is not trusted
/// any more.
async fn until_due(
    signer: &Signer,
    held: &IssuedCertificate,
    lifetime: u32,
    ask_again: Option<Duration>,
) {
    let life = Duration::from_secs(u64::from(lifetime));
    let latest = life * 2 / 3;
    let due = jitter::between(latest - life / 10, latest);
    let due = Instant::now() + ask_again.map_or(due, |again| again.min(due));
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK).min(life / 10)).await;
        if let Ok(false) = signer.trusts(&held.issuer) {
            tracing::warn!("the certificate's CA is not trusted any more");
            return;
        }
    }
}
