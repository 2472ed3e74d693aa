//! A recording's chunks, checked one after another, as what they show.

use std::time::Duration;

use podgate_recording::cast;
use podgate_recording::{NoEnd, Verifier};

use super::error::Error;
use super::find::Found;
use super::view::{Shown, View};

pub(super) struct Chunks {
    pub(super) found: Found,
    verifier: Verifier,
    /// Once the first chunk was read.
    pub(super) view: Option<View>,
    /// The time of the last event.
    pub(super) at: Duration,
}

impl Chunks {
    pub(super) fn new(found: Found) -> Self {
        Self {
            verifier: Verifier::new(found.reader.id().as_str()),
            found,
            view: None,
            at: Duration::ZERO,
        }
    }

    /// Whether the last chunk was read.
    pub(super) fn is_whole(&self) -> bool {
        self.verifier.is_whole()
    }

    /// Why the last chunk is not there; `None` if it is.
    pub(super) async fn no_end(&self) -> Result<Option<NoEnd>, Error> {
        let found = &self.found;
        Ok(NoEnd::of(&self.verifier, &found.reader, &found.desk.library).await?)
    }

    /// What the next chunk shows; `None` if it is not there, or not yet.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<(Duration, Shown)>>, Error> {
        let Some(chunk) = self.found.reader.next().await? else {
            return Ok(None);
        };
        let text = self.verifier.chunk(&chunk)?.text()?;
        let mut rest = text.as_slice();
        let view = match &mut self.view {
            Some(view) => view,
            none => {
                let (header, events) = cast::header(rest)?;
                rest = events;
                none.insert(View::new(&header))
            }
        };
        let events = cast::events(rest, &mut self.at)?.into_iter();
        let shown = events.filter_map(|(time, event)| Some((time, view.show(event)?)));
        Ok(Some(shown.collect()))
    }
}
