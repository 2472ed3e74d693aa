//! The `limits` of the configuration: how much clients may use of this frontdoor. Each is finite,
//! except the idle time, which OpenSSH does not limit either.

use std::ops::RangeInclusive;
use std::time::Duration;

use podgate_process::config::Invalid;
use serde::Deserialize;

use crate::login_pressure::LoginPressure;

/// Checked limits. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Limits {
    pub login_grace: Duration,
    pub least_login_grace: Duration,
    pub starts_per_address: usize,
    pub starts: usize,
    pub(crate) early: LoginPressure,
    pub login_packet: usize,
    pub login_bytes: usize,
    pub rekeys_per_minute: u32,
    pub auth_tries: usize,
    pub channels_per_connection: usize,
    pub forwards_per_connection: usize,
    pub forwards_per_user: usize,
    pub forwards: usize,
    pub listeners_per_connection: usize,
    pub listeners_per_user: usize,
    pub listeners: usize,
    pub connections_per_user: usize,
    pub connections: usize,
    pub sessions_per_user: usize,
    pub sessions: usize,
    pub idle: Option<Duration>,
    pub keepalive: Duration,
    pub keepalives: usize,
    pub max_packet: u32,
    pub window: u32,
}

impl Limits {
    /// How long a client may leave keepalives unanswered, or bytes unacknowledged.
    pub(crate) fn silence(&self) -> Duration {
        let keepalives = u32::try_from(self.keepalives).unwrap_or(u32::MAX);
        self.keepalive.saturating_mul(keepalives)
    }
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    login_grace_seconds: u32,
    least_login_grace_seconds: u32,
    starts_per_address: u32,
    starts: u32,
    starts_drop_from: u32,
    starts_drop_percent: u32,
    login_packet_bytes: u32,
    login_bytes: u32,
    rekeys_per_minute: u32,
    auth_tries: u32,
    channels_per_connection: u32,
    forwards_per_connection: u32,
    forwards_per_user: u32,
    forwards: u32,
    listeners_per_connection: u32,
    listeners_per_user: u32,
    listeners: u32,
    connections_per_user: u32,
    connections: u32,
    sessions_per_user: u32,
    sessions: u32,
    idle_seconds: u32,
    keepalive_seconds: u32,
    keepalives: u32,
    max_packet_bytes: u32,
    window_bytes: u32,
}

impl Default for File {
    fn default() -> Self {
        Self {
            login_grace_seconds: 120,
            least_login_grace_seconds: 10,
            starts_per_address: 600,
            starts: 2000,
            starts_drop_from: 1000,
            starts_drop_percent: 30,
            login_packet_bytes: 35_000,
            login_bytes: 256 * 1024,
            rekeys_per_minute: 300,
            auth_tries: 6,
            channels_per_connection: 100,
            forwards_per_connection: 1000,
            forwards_per_user: 2000,
            forwards: 20_000,
            listeners_per_connection: 100,
            listeners_per_user: 200,
            listeners: 2000,
            connections_per_user: 1000,
            connections: 10_000,
            sessions_per_user: 1000,
            sessions: 10_000,
            idle_seconds: 0,
            keepalive_seconds: 30,
            keepalives: 3,
            max_packet_bytes: 32 * 1024,
            window_bytes: 2 * 1024 * 1024,
        }
    }
}

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
const MILLION: u32 = 1_000_000;

impl File {
    /// Each value with its range.
    fn ranges(&self) -> [(&'static str, u32, RangeInclusive<u32>); 20] {
        [
            (
                "limits.loginGraceSeconds",
                self.login_grace_seconds,
                1..=HOUR,
            ),
            (
                "limits.leastLoginGraceSeconds",
                self.least_login_grace_seconds,
                1..=HOUR,
            ),
            (
                "limits.startsPerAddress",
                self.starts_per_address,
                1..=MILLION,
            ),
            ("limits.starts", self.starts, 1..=MILLION),
            ("limits.startsDropFrom", self.starts_drop_from, 1..=MILLION),
            (
                "limits.startsDropPercent",
                self.starts_drop_percent,
                1..=100,
            ),
            // The largest packet that a peer must be able to send (RFC 4253 §6.1).
            (
                "limits.loginPacketBytes",
                self.login_packet_bytes,
                4 * 1024..=256 * 1024,
            ),
            (
                "limits.loginBytes",
                self.login_bytes,
                self.login_packet_bytes..=64 * 1024 * 1024,
            ),
            (
                "limits.rekeysPerMinute",
                self.rekeys_per_minute,
                1..=MILLION,
            ),
            ("limits.authTries", self.auth_tries, 1..=1000),
            (
                "limits.channelsPerConnection",
                self.channels_per_connection,
                1..=10_000,
            ),
            (
                "limits.connectionsPerUser",
                self.connections_per_user,
                1..=MILLION,
            ),
            ("limits.connections", self.connections, 1..=MILLION),
            (
                "limits.sessionsPerUser",
                self.sessions_per_user,
                1..=MILLION,
            ),
            ("limits.sessions", self.sessions, 1..=MILLION),
            ("limits.idleSeconds", self.idle_seconds, 0..=30 * DAY),
            ("limits.keepaliveSeconds", self.keepalive_seconds, 1..=DAY),
            ("limits.keepalives", self.keepalives, 1..=1000),
            // A peer must be able to receive 32 KiB (RFC 4253 §6.1), but may announce less for a
            // channel's data (RFC 4254 §5.1). russh announces at most 64 KiB.
            (
                "limits.maxPacketBytes",
                self.max_packet_bytes,
                4 * 1024..=65_535,
            ),
            // A window smaller than a packet would stop a client that fills its packets (RFC 4254
            // §5.2).
            (
                "limits.windowBytes",
                self.window_bytes,
                self.max_packet_bytes..=64 * 1024 * 1024,
            ),
        ]
    }

    /// The same of forwards.
    fn ranges_of_forwards(&self) -> [(&'static str, u32, RangeInclusive<u32>); 6] {
        [
            (
                "limits.forwardsPerConnection",
                self.forwards_per_connection,
                1..=100_000,
            ),
            (
                "limits.forwardsPerUser",
                self.forwards_per_user,
                1..=MILLION,
            ),
            ("limits.forwards", self.forwards, 1..=MILLION),
            (
                "limits.listenersPerConnection",
                self.listeners_per_connection,
                1..=10_000,
            ),
            (
                "limits.listenersPerUser",
                self.listeners_per_user,
                1..=MILLION,
            ),
            ("limits.listeners", self.listeners, 1..=MILLION),
        ]
    }

    /// Checks each value against its range. An error names the key.
    pub(super) fn check(self) -> Result<Limits, Invalid> {
        let ranges = self.ranges().into_iter().chain(self.ranges_of_forwards());
        for (key, value, range) in ranges {
            if !range.contains(&value) {
                let (least, most) = range.into_inner();
                return Err(Invalid::new(
                    key,
                    format!("{value} is not between {least} and {most}"),
                ));
            }
        }
        let seconds = |seconds| Duration::from_secs(u64::from(seconds));
        Ok(Limits {
            login_grace: seconds(self.login_grace_seconds),
            least_login_grace: seconds(self.least_login_grace_seconds),
            early: LoginPressure {
                from: self.starts_drop_from as usize,
                most: self.starts as usize,
                percent: f64::from(self.starts_drop_percent),
            },
            login_packet: self.login_packet_bytes as usize,
            login_bytes: self.login_bytes as usize,
            rekeys_per_minute: self.rekeys_per_minute,
            starts_per_address: self.starts_per_address as usize,
            starts: self.starts as usize,
            auth_tries: self.auth_tries as usize,
            channels_per_connection: self.channels_per_connection as usize,
            forwards_per_connection: self.forwards_per_connection as usize,
            forwards_per_user: self.forwards_per_user as usize,
            forwards: self.forwards as usize,
            listeners_per_connection: self.listeners_per_connection as usize,
            listeners_per_user: self.listeners_per_user as usize,
            listeners: self.listeners as usize,
            connections_per_user: self.connections_per_user as usize,
            connections: self.connections as usize,
            sessions_per_user: self.sessions_per_user as usize,
            sessions: self.sessions as usize,
            idle: (self.idle_seconds > 0).then(|| seconds(self.idle_seconds)),
            keepalive: seconds(self.keepalive_seconds),
            keepalives: self.keepalives as usize,
            max_packet: self.max_packet_bytes,
            window: self.window_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(change: impl FnOnce(&mut File)) -> String {
        let mut file = File::default();
        change(&mut file);
        file.check()
            .err()
            .map(|invalid| invalid.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(error(|_| {}), "");
        let limits = File::default().check().unwrap();
        assert_eq!(limits.silence(), Duration::from_secs(90));
    }

    #[test]
    fn what_is_out_of_its_range_is_named() {
        let check = |change: fn(&mut File), expect: &str| {
            let error = error(change);
            assert!(error.contains(expect), "{error:?}, not {expect:?}");
        };
        check(
            |f| f.login_grace_seconds = 0,
            "limits.loginGraceSeconds: 0 is not between 1 and 3600",
        );
        check(|f| f.starts = 0, "limits.starts: ");
        check(|f| f.starts_per_address = 0, "limits.startsPerAddress: ");
        check(
            |f| f.least_login_grace_seconds = 0,
            "limits.leastLoginGraceSeconds: ",
        );
        check(|f| f.starts_drop_from = 0, "limits.startsDropFrom: ");
        check(
            |f| f.starts_drop_percent = 101,
            "limits.startsDropPercent: ",
        );
        check(|f| f.login_packet_bytes = 100, "limits.loginPacketBytes: ");
        check(|f| f.login_bytes = 34_999, "limits.loginBytes: ");
        check(|f| f.rekeys_per_minute = 0, "limits.rekeysPerMinute: ");
        check(|f| f.auth_tries = 0, "limits.authTries: ");
        check(
            |f| f.channels_per_connection = 0,
            "limits.channelsPerConnection: ",
        );
        check(
            |f| f.connections_per_user = 0,
            "limits.connectionsPerUser: ",
        );
        check(|f| f.connections = 0, "limits.connections: ");
        check(
            |f| f.listeners_per_connection = 0,
            "limits.listenersPerConnection: ",
        );
        check(|f| f.listeners_per_user = 0, "limits.listenersPerUser: ");
        check(|f| f.listeners = 0, "limits.listeners: ");
        check(|f| f.sessions_per_user = 0, "limits.sessionsPerUser: ");
        check(|f| f.sessions = 0, "limits.sessions: ");
        check(|f| f.idle_seconds = u32::MAX, "limits.idleSeconds: ");
        check(|f| f.keepalive_seconds = 0, "limits.keepaliveSeconds: ");
        check(|f| f.keepalives = 0, "limits.keepalives: ");
        check(|f| f.max_packet_bytes = 65_536, "limits.maxPacketBytes: ");
        check(|f| f.window_bytes = 32_767, "limits.windowBytes: ");
    }
}
