//! The slot that an answer counts against, until its peer has read it or is gone: a peer that does not
//! read holds no more than its slots.

use std::sync::{Arc, OnceLock};

use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::codegen::http;

use crate::quotas::Slot;

/// The slot, once it is known. It goes with the answer, as one of its extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held(Arc<OnceLock<Slot>>);

impl Held {
    /// Call it once, before the first message.
    pub(super) fn hold(&self, slot: Slot) {
        // Fails only if it is called again.
        let _ = self.0.set(slot);
    }
}

/// Ties the slot of an answer to its body, which is dropped once all of it was sent. The stream of
/// messages is no place for it: gRPC drops that when it has taken the last message.
pub(crate) fn until_sent(mut answer: http::Response<Body>) -> http::Response<Body> {
    let held = answer.extensions_mut().remove::<Held>();
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            // The closure owns it.
            let _ = &held;
            frame
        }))
    })
}
