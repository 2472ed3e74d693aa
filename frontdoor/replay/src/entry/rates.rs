//! How often the store and the API server are asked for whoever is not signed in. Behind an Ingress all
//! come from one address, so a stranger there could use up what it has. A link that our key vouches for has
//! a rate of its own instead: wrong links and tokens, however many, keep out nobody who has one.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Instant;

use lru::LruCache;
use podgate_process::bucket::Bucket;
use podgate_process::token_rates::TokenRates;

/// Links whose rate is kept. The rate of one that is dropped starts anew.
const LINKS: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// How often one link is looked for in a minute. To sign in takes two.
const OF_A_LINK: u32 = 20;

/// What somebody comes with.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// The name of a link that the key vouches for.
    Link(String),
    /// A token, from this address.
    Token(IpAddr),
}

/// The rates of all that somebody may come with.
#[derive(Debug)]
pub(super) struct Rates {
    links: LruCache<String, Bucket>,
    tokens: TokenRates,
}

impl Rates {
    /// So many tokens may be refused to an address in a minute.
    pub(super) fn new(refused_a_minute: u32) -> Self {
        Self {
            links: LruCache::new(LINKS),
            tokens: TokenRates::new(refused_a_minute),
        }
    }

    /// Takes a question from the rate of what somebody comes with. Returns false if none is left.
    pub(super) fn take(&mut self, way: &Way, now: Instant) -> bool {
        match way {
            Way::Link(name) => {
                let full = || Bucket::a_minute(OF_A_LINK, now);
                let link = self.links.get_or_insert_mut(name.clone(), full);
                link.take(now)
            }
            Way::Token(peer) => self.tokens.ask(*peer, now),
        }
    }

    /// Gives it back, because it has let somebody in.
    pub(super) fn give_back(&mut self, way: &Way) {
        match way {
            Way::Link(_) => {}
            Way::Token(peer) => self.tokens.give_back(*peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_takes_from_another_and_no_link_from_another_link() {
        let (now, peer) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let mut rates = Rates::new(3);
        let link = |name: &str| Way::Link(name.to_owned());
        let mut most = |way| (0..1000).filter(|_| rates.take(&way, now)).count();
        assert_eq!(most(Way::Token(peer)), 3);
        assert_eq!(most(link("a")), 20);
        assert_eq!(most(link("b")), 20);
        assert_eq!(most(Way::Token(peer)), 0);
        rates.give_back(&Way::Token(peer));
        let mut most = |way| (0..1000).filter(|_| rates.take(&way, now)).count();
        assert_eq!(most(Way::Token(peer)), 1);
    }
}
