//! Who asks, over which connection.

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, Version, request};
use podgate_process::https::Peer;

use super::failure::Failure;
use super::headers::known;
use super::parts::Parts;
use super::time::Time;
use crate::entry::{self, Visitor};

/// A request's sender.
pub(super) struct Asked {
    pub(super) peer: Peer,
    pub(super) time: Time,
    headers: HeaderMap,
    version: Version,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(request: &mut request::Parts, _: &S) -> Result<Self, Failure> {
        // Each connection has both.
        let peer = request.extensions.get::<Peer>().cloned();
        let time = request.extensions.get::<Time>().cloned();
        let (peer, time) = peer.zip(time).ok_or(Failure::Nothing)?;
        let headers = request.headers.clone();
        Ok(Self {
            peer,
            time,
            headers,
            version: request.version,
        })
    }
}

impl Asked {
    /// Who it is.
    pub(super) async fn visitor(&self, parts: &Parts) -> Result<Visitor, entry::Error> {
        let visitor = parts.door.visitor(&self.headers).await?;
        known(&visitor, &self.peer, &self.time);
        Ok(visitor)
    }

    /// An error if the sender could not tell a stream that broke off from a whole one.
    pub(super) fn takes_streams(&self) -> Result<(), Failure> {
        let takes = self.version >= Version::HTTP_11;
        takes.then_some(()).ok_or(Failure::Version)
    }
}
