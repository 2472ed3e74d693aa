//! How a program gets its certificate: from files, or from the signer, to which it shows its pod's
//! token. It makes a new key for each certificate. The key stays in memory and is never sent.

mod call;
mod config;
mod keep;
mod source;

pub use call::HostCertificates;
pub use config::Config;
pub use keep::{Enrolment, EnrolmentEvent};
pub use source::Source;
