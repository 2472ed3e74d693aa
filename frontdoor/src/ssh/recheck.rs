//! Checks from time to time whether a client's key or certificate would still let it in. If not, its
//! sessions are ended and it can start no others.

use tokio::time::sleep;

use super::client::Client;

/// What the client reads.
pub(super) const REASON: &str = "the key or certificate that let you in is no longer valid";

/// Returns when the login of the client, or of the connection around it, is no longer valid. `revoked`
/// tells its sessions.
pub(super) async fn login(client: &Client) {
    tokio::select! {
        () = client.revoked.cancelled() => {}
        () = own(client) => client.revoked.cancel(),
    }
}

async fn own(client: &Client) {
    client.logged_in.cancelled().await;
    let Some(login) = client.login.get() else {
        return std::future::pending().await;
    };
    loop {
        sleep(client.context.recheck).await;
        client.context.authenticator.refresh().await;
        if !client.context.authenticator.holds(&login.proof) {
            let (user, source) = (&login.identity.user, login.identity.source.as_str());
            tracing::info!(user, source, peer = %client.peer, "the login is no longer valid");
            return;
        }
    }
}
