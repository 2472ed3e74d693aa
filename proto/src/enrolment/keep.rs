//! Keeping a part enrolled: the first certificate, and each next one well before the last expires.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::call::{Error, Signer};
use super::{Enrolment, Told};
use crate::mtls::Held;

/// Before the first attempt after one that failed; doubled with each …
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// … up to this.
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// How often it is looked whether the certificate's CA is trusted still.
const LOOK: Duration = Duration::from_secs(30);

impl Enrolment {
    /// Waits until there is an identity to show.
    pub async fn enrolled(&self) {
        if self.signer.is_some() {
            let mut held = self.held.subscribe();
            // The sender is here.
            let _ = held.wait_for(Option::is_some).await;
        }
    }

    /// What the part waits for before it can serve.
    pub fn waits(&self) -> Option<&'static str> {
        let held = self.held.borrow();
        let missing = held
            .as_ref()
            .is_none_or(|held| held.expires <= Instant::now());
        (self.signer.is_some() && missing).then_some("its certificate from the signer")
    }

    /// Enrols the part and keeps it so. Does not return; has nothing to do where the certificate
    /// comes from files.
    pub async fn keep(&self, tell: impl Fn(Told)) {
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
                    tell(Told::Enrolled { lifetime });
                    until_due(signer, &held, lifetime).await;
                }
                Err(error) => {
                    tell(Told::Failed);
                    report(&error, self.waits().is_none());
                    // Between half of it and all, so that parts that failed together come apart.
                    sleep(pause.mul_f64(0.5 + random() / 2.0)).await;
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

/// Returns after two thirds of the lifetime, or a little less, so that parts which began together
/// come apart; sooner if the CA is trusted no more.
async fn until_due(signer: &Signer, held: &Held, lifetime: u32) {
    let life = Duration::from_secs(u64::from(lifetime));
    let due = Instant::now() + life.mul_f64(2.0 / 3.0 - random() / 10.0);
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

/// From 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the parts are only less apart.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
