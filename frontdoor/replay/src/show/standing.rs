//! Whether a visitor still may see what is being sent. A stream can last for hours, and a right can be taken
//! away meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use super::error::Error;
use super::find::Found;
use crate::rights::Right;

/// How often the right is asked for again.
const RECHECK: Duration = Duration::from_secs(30);

/// When it was last asked for.
#[derive(Debug)]
pub(super) struct Standing(Instant);

impl Standing {
    /// It has just been asked for.
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Whether it is time to ask again. This counts as asking.
    fn is_due(&mut self) -> bool {
        let due = self.0.elapsed() >= RECHECK;
        if due {
            self.0 = Instant::now();
        }
        due
    }

    /// An error if the visitor may get the recording no longer. Returns whether this was asked for.
    pub(super) async fn require(&mut self, found: &Found) -> Result<bool, Error> {
        if !self.is_due() {
            return Ok(false);
        }
        let namespace = found.reader.namespace().to_owned();
        let may = found.desk.rights.may(&found.visitor, Right::Get, namespace);
        may.await?.then_some(true).ok_or(Error::NoLonger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_for_again_each_half_minute() {
        let mut standing = Standing::new();
        let mut asked = 0;
        for _ in 0..120 {
            tokio::time::advance(Duration::from_secs(1)).await;
            asked += usize::from(standing.is_due());
        }
        assert_eq!(asked, 4);
    }
}
