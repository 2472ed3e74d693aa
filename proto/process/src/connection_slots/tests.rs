//! Who gets a slot, and who gives way.

use std::net::Ipv4Addr;

use super::*;
use crate::metrics::Registry;

fn slots(
    total: u16,
    per_address: u16,
    per_second_and_address: u16,
) -> (Arc<ConnectionSlots>, Registry) {
    let mut registry = Registry::new("test");
    let refused = RefusedConnections::new(&mut registry);
    let bounds = Bounds {
        total,
        per_address,
        per_second_and_address,
        seconds: 3,
    };
    (ConnectionSlots::new("desk", bounds, refused), registry)
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// Whether the connection of a slot was ended.
fn gave_way(slot: &ConnectionSlot) -> bool {
    slot.over.is_cancelled()
}

#[test]
fn an_address_and_all_have_their_bounds() {
    let (slots, registry) = slots(3, 2, 100);
    let now = Instant::now();
    let take = |last| slots.take_at(address(last), now);
    let (first, _second) = (take(1).unwrap(), take(1).unwrap());
    assert_eq!(take(1).unwrap_err(), Full::PerAddress);
    let _third = take(2).unwrap();
    assert_eq!(take(3).unwrap_err(), Full::Total);
    drop(first);
    let _fourth = take(3).unwrap();
    let text = registry.render().unwrap();
    let expect = "test_refused_connections_total{listener=\"desk\",limit=\"perAddress\"} 1";
    assert!(text.contains(expect), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasts_too_long_is_ended_and_counted() {
    let (slots, registry) = slots(1, 1, 100);
    let slot = slots.take(address(1)).unwrap();
    let held = slot.hold(slots.within(), std::future::pending::<()>());
    let begun = tokio::time::Instant::now();
    assert_eq!(held.await, Err(Ended::Late));
    assert_eq!(begun.elapsed().as_secs(), 3);
    let text = registry.render().unwrap();
    let expect = "test_refused_connections_total{listener=\"desk\",limit=\"seconds\"} 1";
    assert!(text.contains(expect), "{text}");
}

#[test]
fn who_is_silent_gives_way() {
    let (slots, _registry) = slots(4, 3, 100);
    let now = Instant::now();
    let later = now + PATIENCE;
    let stranger: Vec<_> = (0..3)
        .map(|_| slots.take_at(address(1), now).unwrap())
        .collect();
    let other = slots.take_at(address(2), now).unwrap();
    // The address with the most loses its oldest.
    let honest = slots.take_at(address(3), later).unwrap();
    assert!(gave_way(&stranger[0]) && !gave_way(&stranger[1]) && !gave_way(&other));
    // An address that already has the most slots takes none from others.
    let again = slots.take_at(address(1), later).unwrap_err();
    assert_eq!(again, Full::Total);
    // Connections that have sent their request stay.
    for slot in [&stranger[1], &stranger[2], &other, &honest] {
        slot.settle();
    }
    let late = slots.take_at(address(4), later + PATIENCE);
    assert_eq!(late.unwrap_err(), Full::Total);
    drop(stranger);
    assert!(slots.take_at(address(4), later).is_ok());
}

#[test]
fn within_an_address_the_oldest_gives_way() {
    let (slots, _registry) = slots(4, 2, 100);
    let now = Instant::now();
    let held: Vec<_> = (0..2)
        .map(|_| slots.take_at(address(1), now).unwrap())
        .collect();
    let next = slots.take_at(address(1), now + PATIENCE).unwrap();
    assert!(gave_way(&held[0]) && !gave_way(&held[1]) && !gave_way(&next));
    // A slot that was taken away is not given back twice.
    drop(held);
    assert_eq!(slots.lock().connections.len(), 1);
}

#[test]
fn known_addresses_go_first() {
    let (slots, _registry) = slots(4, 1, 100);
    let now = Instant::now();
    slots.take_at(address(9), now).unwrap().trust();
    let strangers: Vec<_> = (0..4)
        .map(|last| slots.take_at(address(last), now).unwrap())
        .collect();
    let known: Vec<_> = (0..3)
        .map(|_| slots.take_at(address(9), now).unwrap())
        .collect();
    let ended = strangers.iter().filter(|slot| gave_way(slot)).count();
    assert_eq!(ended, 3);
    // One slot is left to strangers, in case the known address is used by strangers too.
    let most = slots.take_at(address(9), now);
    assert_eq!(most.unwrap_err(), Full::PerAddress);
    // Strangers take slots from one another, and none from the known address.
    let late = now + PATIENCE;
    let _next = slots.take_at(address(5), late).unwrap();
    let last = slots.take_at(address(6), late);
    assert_eq!(last.unwrap_err(), Full::Total);
    assert!(strangers.iter().all(gave_way));
    assert!(known.iter().all(|slot| !gave_way(slot)));
}

#[test]
fn an_address_has_a_rate() {
    let (slots, _registry) = slots(100, 100, 2);
    let now = Instant::now();
    let take = |last, at| slots.take_at(address(last), at).map(drop);
    for _ in 0..20 {
        assert_eq!(take(1, now), Ok(()));
    }
    assert_eq!(take(1, now), Err(Full::PerSecondAndAddress));
    assert_eq!(take(2, now), Ok(()));
    let later = now + Duration::from_secs(1);
    assert_eq!(take(1, later), Ok(()));
    assert_eq!(take(1, later), Ok(()));
    assert_eq!(take(1, later), Err(Full::PerSecondAndAddress));
}

#[tokio::test]
async fn a_connection_ends_in_time_or_when_it_gives_way() {
    let (slots, _registry) = slots(1, 1, 100);
    let slot = slots.take(address(1)).unwrap();
    let limit = Duration::from_secs(60);
    assert_eq!(slot.hold(limit, async { 7 }).await, Ok(7));
    let never = std::future::pending::<()>();
    let late = slot.hold(Duration::from_millis(10), never).await;
    assert_eq!(late, Err(Ended::Late));
    slot.over.cancel();
    let never = std::future::pending::<()>();
    assert_eq!(slot.hold(limit, never).await, Err(Ended::GaveWay));
}
