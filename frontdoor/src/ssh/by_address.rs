//! A queue in which addresses take turns, so an address with many entries delays another's by one each.

use std::collections::{HashMap, VecDeque};

use podgate_process::network::Network;

#[derive(Debug)]
pub(super) struct ByAddress<T> {
    /// Addresses in the order of their next turns.
    order: VecDeque<Network>,
    /// What waits. An entry for each address in `order`.
    waiting: HashMap<Network, VecDeque<T>>,
}

impl<T> Default for ByAddress<T> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            waiting: HashMap::new(),
        }
    }
}

impl<T> ByAddress<T> {
    pub(super) fn add(&mut self, address: Network, entry: T) {
        let waiting = self.waiting.entry(address).or_default();
        if waiting.is_empty() {
            self.order.push_back(address);
        }
        waiting.push_back(entry);
    }

    /// Takes the first entry of the address whose turn it is.
    pub(super) fn next(&mut self) -> Option<T> {
        let address = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&address)?;
        let entry = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&address);
        } else {
            self.order.push_back(address);
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns() {
        let mut queue = ByAddress::default();
        for (entry, last) in [1, 1, 1, 2, 3, 2].into_iter().enumerate() {
            queue.add(Network::of([192, 0, 2, last].into()), entry);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, [0, 3, 4, 1, 5, 2]);
        assert!(queue.order.is_empty() && queue.waiting.is_empty());
    }
}
