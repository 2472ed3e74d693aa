//! Slots for the connections of a listener whose peers are strangers. Their number is bounded in total
//! and for each address, and so is the rate of new connections. While all are taken, a connection that
//! has been silent for a while gives way to a new one, so that strangers who hold slots keep nobody
//! out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::bounds::Bounds;
use crate::bucket::Bucket;
use crate::metrics::RefusedConnections;
use crate::network::Network;

/// How long a connection may take before it gives way to others. Honest peers send a request, or finish
/// a handshake, sooner.
const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses whose rate is kept.
const RATES: NonZeroUsize = NonZeroUsize::new(10_000).expect("it is not 0");
/// Addresses that are known to be good.
const KNOWN: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not 0");
/// How many seconds' worth of connections may come at once.
const BURST: u32 = 10;

/// A listener has no slot for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Full {
    #[error("too many connections")]
    Total,
    #[error("too many connections of one address")]
    PerAddress,
    #[error("too many new connections of one address")]
    PerSecondAndAddress,
}

impl Full {
    /// The limit's key in the configuration.
    fn limit(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::PerAddress => "perAddress",
            Self::PerSecondAndAddress => "perSecondAndAddress",
        }
    }
}

/// The key of the limit of a connection's time.
const SECONDS: &str = "seconds";

/// The slots of one listener.
#[derive(Debug)]
pub struct ConnectionSlots {
    listener: &'static str,
    bounds: Bounds,
    refused: RefusedConnections,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    /// By number; the oldest is first.
    connections: BTreeMap<u64, Connection>,
    next: u64,
    rates: LruCache<Network, Bucket>,
    known: LruCache<Network, ()>,
}

#[derive(Debug)]
struct Connection {
    network: Network,
    /// Whether its address was known to be good when it came.
    known: bool,
    since: Instant,
    /// Whether it gives way to others.
    yields: bool,
    over: CancellationToken,
}

/// A connection's slot. It is free again when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    number: u64,
    network: Network,
    over: CancellationToken,
    /// Whether a request has come.
    heard: AtomicBool,
}

/// Why a connection was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Ended {
    #[error("took too long")]
    Late,
    #[error("gave way to another connection")]
    GaveWay,
}

impl ConnectionSlots {
    /// The slots of the listener of this name, all of them free.
    pub fn new(listener: &'static str, bounds: Bounds, refused: RefusedConnections) -> Arc<Self> {
        let taken = Taken {
            connections: BTreeMap::new(),
            next: 0,
            rates: LruCache::new(RATES),
            known: LruCache::new(KNOWN),
        };
        Arc::new(Self {
            listener,
            bounds,
            refused,
            taken: Mutex::new(taken),
        })
    }

    /// A slot for a new connection, if there is one or another connection gives way.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Result<ConnectionSlot, Full> {
        self.take_at(peer, Instant::now())
    }

    fn take_at(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Result<ConnectionSlot, Full> {
        let network = Network::of(peer);
        let mut taken = self.lock();
        let known = taken.known.get(&network).is_some();
        let made = taken
            .rate(network, self.bounds, now)
            .and_then(|()| taken.room(network, known, self.bounds, now));
        match made {
            Ok(None) => {}
            Ok(Some(limit)) | Err(limit) => self.refused.count(self.listener, limit.limit()),
        }
        made?;
        let (number, over) = (taken.next, CancellationToken::new());
        taken.next += 1;
        let connection = Connection {
            network,
            known,
            since: now,
            yields: true,
            over: over.clone(),
        };
        taken.connections.insert(number, connection);
        Ok(ConnectionSlot {
            slots: Arc::clone(self),
            number,
            network,
            over,
            heard: AtomicBool::new(false),
        })
    }

    /// How long a connection may last.
    pub fn within(&self) -> Duration {
        Duration::from_secs(self.bounds.seconds.into())
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn rate(&mut self, network: Network, bounds: Bounds, now: Instant) -> Result<(), Full> {
        let a_second = u32::from(bounds.per_second_and_address);
        let full = || Bucket::full(a_second * BURST, f64::from(a_second), now);
        let rate = self.rates.get_or_insert_mut(network, full);
        rate.take(now)
            .then_some(())
            .ok_or(Full::PerSecondAndAddress)
    }

    /// Makes room for one more connection. Returns the limit for which another one had to give way.
    fn room(
        &mut self,
        network: Network,
        known: bool,
        bounds: Bounds,
        now: Instant,
    ) -> Result<Option<Full>, Full> {
        let total = usize::from(bounds.total);
        let own = usize::from(bounds.per_address);
        // A known address may have most of the slots, but not all of them.
        let own = if known { own.max(total * 3 / 4) } else { own };
        let late = |one: &Connection| one.yields && now.duration_since(one.since) >= PATIENCE;
        if self.count(network) >= own {
            let gone = self.end(|one| one.network == network && late(one));
            return gone
                .then_some(Some(Full::PerAddress))
                .ok_or(Full::PerAddress);
        }
        if self.connections.len() < total {
            return Ok(None);
        }
        // A known address goes first.
        let gone = known && self.end(|one| one.yields && !one.known)
            || match self.largest(|one| late(one) && (known || !one.known)) {
                Some(most) if self.count(most) > self.count(network) => {
                    self.end(|one| one.network == most && late(one))
                }
                _ => false,
            };
        gone.then_some(Some(Full::Total)).ok_or(Full::Total)
    }

    fn count(&self, network: Network) -> usize {
        let all = self.connections.values();
        all.filter(|one| one.network == network).count()
    }

    /// The network that has the most of these connections.
    fn largest(&self, of: impl Fn(&Connection) -> bool) -> Option<Network> {
        let mut counts = std::collections::HashMap::new();
        for one in self.connections.values().filter(|one| of(one)) {
            *counts.entry(one.network).or_insert(0) += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(network, _)| network)
    }

    /// Ends the oldest of these connections. Returns false if there is none.
    fn end(&mut self, of: impl Fn(&Connection) -> bool) -> bool {
        let oldest = self.connections.iter().find(|(_, one)| of(one));
        let Some(number) = oldest.map(|(number, _)| *number) else {
            return false;
        };
        if let Some(one) = self.connections.remove(&number) {
            one.over.cancel();
        }
        true
    }
}

impl ConnectionSlot {
    /// The connection's request is there, and it gives way to no other any more.
    pub fn settle(&self) {
        if let Some(one) = self.slots.lock().connections.get_mut(&self.number) {
            one.yields = false;
        }
    }

    /// The peer has proved who it is: from now on connections of its address go before all others.
    pub fn trust(&self) {
        self.slots.lock().known.put(self.network, ());
    }

    /// A request has come. A client that then says nothing more is no stranger who holds a slot.
    pub fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Counts that the connection lasted too long.
    pub fn late(&self) {
        self.ended_by(SECONDS);
    }

    /// Counts that a bound of this name ended the connection.
    pub fn ended_by(&self, bound: &'static str) {
        self.slots.refused.count(self.slots.listener, bound);
    }

    /// Counts an error of HTTP if the head of a request was too long, or the first one took too long.
    pub fn ended_with(&self, error: &hyper::Error) {
        let is_late = error.is_timeout() && !self.heard.load(Ordering::Relaxed);
        if error.is_parse_too_large() || is_late {
            self.ended_by("head");
        }
    }

    /// How long the connection may last.
    pub fn within(&self) -> Duration {
        self.slots.within()
    }

    /// Runs a connection for at most this long, and ends it when it has to give way.
    pub async fn hold<F: Future>(
        &self,
        limit: Duration,
        connection: F,
    ) -> Result<F::Output, Ended> {
        let run = self.over.run_until_cancelled(connection);
        let run = timeout(limit, run).await.map_err(|_| {
            self.late();
            Ended::Late
        })?;
        run.ok_or(Ended::GaveWay)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.lock().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
