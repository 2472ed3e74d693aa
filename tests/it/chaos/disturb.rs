//! What may go wrong with each part and each link.

use std::sync::Arc;
use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::Stand;
use podgate_tests::real::containerd::RunningPod;
use podgate_tests::real::network::{Network, Site};
use rustix::process::Signal;
use tokio::time::Instant;

use super::limits::Limits;
use super::still::Still;
use crate::disk::Disk;

/// Seconds of a pause or a cut, at the most: longer than any part waits for another's sign of life.
const LONGEST: f64 = 12.0;

/// Disturbs, and mends in time.
pub(super) struct Disturber {
    network: Arc<Network>,
    disk: Arc<Disk>,
    pods: Arc<Vec<RunningPod>>,
    still: Still,
    cut: Vec<(Instant, (Site, Site))>,
    full: Option<Instant>,
    limits: Limits,
    slow: Option<Instant>,
}

impl Disturber {
    pub(super) fn new(
        network: Arc<Network>,
        disk: Arc<Disk>,
        pods: Arc<Vec<RunningPod>>,
        limits: Limits,
    ) -> Self {
        Self {
            network,
            disk,
            pods,
            still: Still::default(),
            cut: Vec::new(),
            full: None,
            limits,
            slow: None,
        }
    }

    /// Does one thing, and says what.
    pub(super) async fn disturb(
        &mut self,
        stand: &mut Stand,
        random: &mut fastrand::Rng,
    ) -> &'static str {
        // Mostly short, at times longer than any time-out.
        let length = Duration::from_secs_f64(LONGEST * random.f64().powi(3) + 0.1);
        let until = Instant::now() + length;
        match random.u8(0..5) {
            0 => self.limits.disturb(until, random).await,
            1 => self.still(until, stand, random).await,
            _ => self.part(until, stand, random).await,
        }
    }

    /// Lets one thing stand still, so that it neither reads nor writes.
    async fn still(
        &mut self,
        until: Instant,
        stand: &Stand,
        random: &mut fastrand::Rng,
    ) -> &'static str {
        let pod = random.choice(self.pods.iter()).unwrap();
        match random.u8(0..7) {
            0 => {
                self.still.container(until, pod).await;
                "container stands still"
            }
            1 => {
                self.still.shim(until, pod).await;
                "shim paused"
            }
            2 => {
                self.still.process(until, stand.frontdoor.pid().unwrap());
                "frontdoor paused"
            }
            3 => {
                self.still.process(until, stand.agent.pid().unwrap());
                "agent paused"
            }
            4 => {
                let helper = stand.helper.as_ref().unwrap();
                self.still.process(until, helper.pid().unwrap());
                "helper paused"
            }
            // It has no front yet where it was just killed.
            5 => match stand.entry.as_ref().and_then(|entry| entry.pids().ok()) {
                Some(pids) => {
                    let pid = random.choice(pids).unwrap();
                    self.still.process(until, pid);
                    "node entry paused"
                }
                None => "no node entry to pause",
            },
            _ => {
                // The first is next to nothing.
                let some = random.u64(1..512) * 1024;
                let rate = random.choice([1, some]).unwrap();
                stand.kubelet.faults().set_read_rate(rate);
                self.slow = Some(until);
                "kubelet reads slowly"
            }
        }
    }

    /// Kills, cuts off or restarts a part, or fills its disk.
    async fn part(
        &mut self,
        until: Instant,
        stand: &mut Stand,
        random: &mut fastrand::Rng,
    ) -> &'static str {
        match random.u8(0..9) {
            0 => {
                kill(&mut stand.frontdoor).await;
                stand.restart_frontdoor().await.unwrap();
                "frontdoor killed"
            }
            1 => {
                // The next agent would not know the sessions that are not in the journal.
                self.limits.journal_whole(&stand.agent).await;
                kill(&mut stand.agent).await;
                stand.restart_agent().await.unwrap();
                "agent killed"
            }
            2 => {
                stand.helper.as_mut().unwrap().restart().await.unwrap();
                "helper killed"
            }
            3 => {
                self.cut(until, (Site::Client, Site::Frontdoor));
                "client cut off"
            }
            4 => {
                self.cut(until, (Site::Frontdoor, Site::Node));
                "node cut off"
            }
            5 => {
                stand.kubelet.cut().await.unwrap();
                "kubelet's connections cut"
            }
            6 => {
                self.disk.fill();
                self.full = Some(until);
                "audit logs' disk full"
            }
            7 => match &mut stand.entry {
                Some(entry) => {
                    entry.kill().unwrap();
                    entry.start_again().unwrap();
                    "node entry killed"
                }
                None => "no node entry to kill",
            },
            _ => {
                stand.kubelet.restart().await.unwrap();
                "kubelet restarted"
            }
        }
    }

    fn cut(&mut self, until: Instant, link: (Site, Site)) {
        self.network.cut(link.0, link.1).unwrap();
        self.cut.push((until, link));
    }

    /// Ends what has lasted until `now`.
    pub(super) async fn mend(&mut self, stand: &Stand, now: Instant) {
        self.still.mend(now);
        self.limits.mend(now).await;
        if self.slow.take_if(|until| *until <= now).is_some() {
            stand.kubelet.faults().set_read_rate(0);
        }
        if self.full.take_if(|until| *until <= now).is_some() {
            self.disk.free();
        }
        self.cut.retain(|(until, (one, other))| {
            if *until <= now {
                self.network.mend(*one, *other).unwrap();
            }
            *until > now
        });
    }

    /// Ends all of it.
    pub(super) async fn mend_all(&mut self, stand: &Stand) {
        self.mend(stand, Instant::now() + Duration::from_secs(3600))
            .await;
    }
}

async fn kill(part: &mut Part) {
    part.signal(Signal::KILL).unwrap();
    part.ended().await.unwrap();
}
