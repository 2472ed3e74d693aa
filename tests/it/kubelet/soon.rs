//! A limit for events that must come soon.

use std::time::Duration;

pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("nothing came for 20 s")
}
