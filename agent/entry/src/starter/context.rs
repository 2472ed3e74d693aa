//! What every start needs.

use std::sync::Arc;

use super::counts::Counts;
use super::image::Images;
use super::options::Options;
use super::outbox::Outbox;
use super::programs::Programs;
use super::reaper::Reaper;
use super::told::Told;
use crate::container::bundle::Bundles;

pub(crate) struct Context {
    pub(crate) options: Options,
    pub(crate) bundles: Bundles,
    pub(crate) launcher: Images,
    /// None where it was left out.
    pub(crate) worker: Option<Images>,
    pub(crate) reaper: Arc<Reaper>,
    pub(crate) programs: Arc<Programs>,
    pub(crate) outbox: Outbox,
    /// Starts under way.
    pub(crate) starts: Arc<Counts>,
    /// Programs that have not ended.
    pub(crate) running: Arc<Counts>,
    pub(crate) told: Told,
}
