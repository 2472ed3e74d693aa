//! Keeps a program enrolled: gets the first certificate, and each next one well before the last expires.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;
use tokio::sync::watch;
use tokio::time::sleep;

use super::call::{Error, Signer};
use super::config::Config;
use crate::jitter;
use crate::mtls::IssuedCertificate;

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
}

impl Enrolment {
    pub(super) fn new(
        signer: Option<(Config, Uri)>,
        held: watch::Sender<Option<Arc<IssuedCertificate>>>,
    ) -> Self {
        let signer = signer.map(|(config, uri)| Signer::new(config, uri));
        Self { signer, held }
    }

    /// Waits until there is a certificate.
    pub async fn enrolled(&self) {
        if self.signer.is_some() {
            let mut held = self.held.subscribe();
            // The sender is here.
            let _ = held.wait_for(Option::is_some).await;
        }
    }

    /// What the program waits for before it can serve.
    pub fn waits(&self) -> Option<&'static str> {
        let held = self.held.borrow();
        let missing = held
            .as_ref()
            .is_none_or(|held| held.expires <= Instant::now());
        (self.signer.is_some() && missing).then_some("its certificate from the signer")
    }

    /// Gets certificates for as long as it is polled. Does not return.
    pub async fn keep(&self, tell: impl Fn(EnrolmentEvent)) {
        let Some(signer) = &self.signer else {
            return std::future::pending().await;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            match signer.enrol().await {
                Ok((held, lifetime)) => {
                    pause = FIRST_PAUSE;
                    tracing::info!(lifetime, "enrolled");
                    let held = Arc::new(held);
                    self.held.send_replace(Some(Arc::clone(&held)));
                    tell(EnrolmentEvent::Enrolled { lifetime });
                    until_due(signer, &held, lifetime).await;
                }
                Err(error) => {
                    tell(EnrolmentEvent::Failed);
                    report(&error, self.waits().is_none());
                    // So that programs that failed together spread out.
                    sleep(jitter::between(pause / 2, pause)).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }
}

fn report(error: &Error, serves: bool) {
    if serves {
        tracing::warn!(%error, "not enrolled anew; the last certificate still serves");
    } else {
        tracing::warn!(%error, "not enrolled");
    }
}

/// Returns after two thirds of the lifetime, or a little less, so that programs that began together
/// spread out. Returns at once when the CA is not trusted any more.
async fn until_due(signer: &Signer, held: &IssuedCertificate, lifetime: u32) {
    let life = Duration::from_secs(u64::from(lifetime));
    let latest = life * 2 / 3;
    let due = Instant::now() + jitter::between(latest - life / 10, latest);
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
