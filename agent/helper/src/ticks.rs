//! The clock by which /proc says when a process started: ticks since boot (proc(5), stat field 22). The
//! agent and the node helper compare such times.

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// The time now.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let ticks = clock_ticks_per_second();
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds * ticks + nanoseconds * ticks / 1_000_000_000
}
