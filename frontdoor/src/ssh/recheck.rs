//! Whether what let a client in would let it in again. It is asked from time to time, and a client that
//! it does not hold for any more has its sessions ended, and starts no other.

use tokio::time::sleep;

use super::connection::Client;

/// What the client reads.
pub(super) const REASON: &str = "the key or certificate that let you in is no longer valid";

/// Returns when what let the client in does not hold any more, or what let in the connection that it
/// runs inside of; its sessions are told.
pub(super) async fn login(client: &Client) {
    tokio::select! {
        () = client.revoked.cancelled() => {}
        () = alone(client) => client.revoked.cancel(),
    }
}

async fn alone(client: &Client) {
    client.logged_in.cancelled().await;
    let Some(login) = client.login.get() else {
        return std::future::pending().await;
    };
    loop {
        sleep(client.worker.recheck).await;
        client.worker.authenticator.refresh().await;
        if !client.worker.authenticator.holds(&login.proof) {
            let (user, source) = (&login.identity.user, login.identity.source.as_str());
            tracing::info!(user, source, peer = %client.peer, "login holds no longer");
            return;
        }
    }
}
