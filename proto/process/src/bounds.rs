//! How many connections a listener takes before it knows who its peers are. The keys are the same in
//! every configuration.

use std::num::NonZeroU16;

use serde::Deserialize;

/// The bounds of one listener. An address stands for its [`Network`](crate::network::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at a time.
    pub total: u16,
    /// Of one address.
    pub per_address: u16,
    /// New connections per second from one address, in the long run. Ten seconds' worth may come at
    /// once.
    pub per_second_and_address: u16,
    /// How long a connection may last, in seconds. Each listener says of which ones.
    pub seconds: u16,
}

/// The bounds in a configuration. What is absent has the default of its listener.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct File {
    total: Option<NonZeroU16>,
    per_address: Option<NonZeroU16>,
    per_second_and_address: Option<NonZeroU16>,
    seconds: Option<NonZeroU16>,
}

impl File {
    /// Fills in what is absent.
    pub fn or(self, default: Bounds) -> Bounds {
        let or = |given: Option<NonZeroU16>, default| given.map_or(default, NonZeroU16::get);
        Bounds {
            total: or(self.total, default.total),
            per_address: or(self.per_address, default.per_address),
            per_second_and_address: or(self.per_second_and_address, default.per_second_and_address),
            seconds: or(self.seconds, default.seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn what_is_absent_has_its_default() {
        let default = Bounds {
            total: 3,
            per_address: 2,
            per_second_and_address: 1,
            seconds: 4,
        };
        let read = |yaml: &str| parse::<File>(yaml).map(|file| file.or(default));
        assert_eq!(read("{}"), Ok(default));
        let expect = Bounds {
            per_address: 7,
            ..default
        };
        assert_eq!(read("perAddress: 7"), Ok(expect));
        let expect = Bounds {
            seconds: 7,
            ..default
        };
        assert_eq!(read("seconds: 7"), Ok(expect));
        for wrong in ["total: 0", "total: 70000", "totals: 1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
