//! How often the API server is asked about tokens from one address. Anybody can make up tokens, so they
//! are counted per address: with one bucket for all, a stranger could use up what honest peers need. A
//! token that proves good is given back, so many peers can share an address. If a load balancer hides
//! all addresses behind its own, strangers can keep the users out, but cannot overwhelm the API server.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Instant;

use lru::LruCache;

use crate::bucket::Bucket;
use crate::network::Network;

/// Addresses whose rate is kept. The rate of one that is dropped starts anew.
const ADDRESSES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");

/// The rates of all addresses.
#[derive(Debug)]
pub struct TokenRates {
    a_minute: u32,
    rates: LruCache<Network, Bucket>,
}

impl TokenRates {
    /// `a_minute` refused tokens per minute from one address; all of them may come at once.
    pub fn new(a_minute: u32) -> Self {
        Self {
            a_minute,
            rates: LruCache::new(ADDRESSES),
        }
    }

    /// Takes a question from the rate of a peer's address. Returns false if none is left.
    pub fn ask(&mut self, peer: IpAddr, now: Instant) -> bool {
        let full = || Bucket::a_minute(self.a_minute, now);
        self.rates
            .get_or_insert_mut(Network::of(peer), full)
            .take(now)
    }

    /// Gives a question back, because its token was good.
    pub fn give_back(&mut self, peer: IpAddr) {
        if let Some(rate) = self.rates.get_mut(&Network::of(peer)) {
            rate.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_api_server_is_asked_so_often_for_one_address() {
        let now = Instant::now();
        let mut asked = TokenRates::new(60);
        let (stranger, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        // Good tokens cost nothing.
        for _ in 0..1000 {
            assert!(asked.ask(stranger, now));
            asked.give_back(stranger);
        }
        for _ in 0..60 {
            assert!(asked.ask(stranger, now));
        }
        assert!(!asked.ask(stranger, now));
        assert!(asked.ask(other, now));
        let later = now + Duration::from_secs(1);
        assert!(asked.ask(stranger, later));
        assert!(!asked.ask(stranger, later));
    }
}
