//! The wire between Podgate's programs, and nothing else: the messages, and what both ends hold to:
//! numbers, flow control, the kinds of actions, and networks and addresses as text.

mod action;
mod codec;
pub mod flow;
pub mod host_port;
pub mod limits;
pub mod network;
pub mod shown;

/// The messages of `podgate/v1/*.proto`, and the clients and servers of their services.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("podgate.v1");
}
