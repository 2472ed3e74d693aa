//! Who acts: identities as Kubernetes names them, the addresses and keys that they come with, and the
//! API server that knows them. The frontdoor and the signer use it; it links no SSH server.

pub mod addresses;
pub mod desk_claims;
pub mod kubernetes;
pub mod pass;
pub mod strength;
pub mod wildcard;

mod identity;
mod names;

pub use identity::{Identity, Source};
pub use names::{Error as NameError, Names};
