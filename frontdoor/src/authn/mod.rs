//! Who is there: a credential becomes an [`Identity`](crate::identity::Identity), or nothing.

pub mod keys;
