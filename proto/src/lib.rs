//! What a frontdoor and an agent must agree on: messages, proof of identity, limits. Nothing else.

mod action;
pub mod enrolment;
pub mod flow;
pub mod limits;
pub mod mtls;
pub mod reload;

/// The messages of `podgate/v1/*.proto`, and the clients and servers of their services.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("podgate.v1");
}
