//! How Podgate's programs prove themselves to each other: TLS 1.3 both ways, one CA, and a DNS name in
//! each certificate. A certificate of the CA without the right name is worth nothing.

mod error;
mod identity;
mod peer;
mod pem;

pub use error::Error;
pub(crate) use identity::{ALPN, Trusted};
pub use identity::{Files, Identity, IssuedCertificate};
pub use peer::{FRONTDOOR_NAME, SIGNER_NAME, agent_name, check_peer};
pub use pem::{certificates, private_key, roots};
