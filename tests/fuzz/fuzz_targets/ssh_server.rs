//! What a stranger sends to an SSH server behind the identification: packets of the key exchange, as they
//! come off the wire. The server never panics, and its session ends once the client is gone.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::server::{Config, Handler, run_stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Far more than a session takes.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes that either end may have sent ahead of the other.
const AHEAD: usize = 64 * 1024;

/// Lets nobody in, which is the default of each of its answers.
struct Nobody;

impl Handler for Nobody {
    type Error = russh::Error;
}

static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| {
    let pair = Ed25519Keypair::from_seed(&[7; 32]);
    let key = PrivateKey::new(KeypairData::Ed25519(pair), "").expect("a key");
    Arc::new(Config {
        keys: vec![key],
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        inactivity_timeout: None,
        ..Config::default()
    })
});

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

async fn serve(stream: &[u8]) {
    let (mut client, server) = duplex(AHEAD);
    let send = async {
        let all = [b"SSH-2.0-fuzz\r\n", stream].concat();
        // The server may have had enough before.
        let _ = client.write_all(&all).await;
        let _ = client.shutdown().await;
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
    };
    let served = async {
        if let Ok(running) = run_stream(Arc::clone(&CONFIG), server, Nobody).await {
            let _ = running.await;
        }
    };
    tokio::join!(send, served);
}

fuzz_target!(|stream: &[u8]| {
    RUNTIME.with(|runtime| {
        let ended = runtime.block_on(async { timeout(WITHIN, serve(stream)).await });
        ended.expect("the session ends once its client is gone");
    });
});
