//! What may go wrong with each part and each link.

use std::sync::Arc;
use std::time::Duration;

use podgate_tests::fixtures::gateway::Part;
use podgate_tests::fixtures::stand::Stand;
use podgate_tests::real::network::{Network, Site};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::disk::Disk;
use super::limits::Limits;

/// Seconds of a pause or a cut, at the most: longer than any part waits for another's sign of life.
const LONGEST: f64 = 12.0;

/// Disturbs, and mends in time.
pub(super) struct Disturber {
    network: Arc<Network>,
    disk: Arc<Disk>,
    paused: Vec<(Instant, Pid)>,
    cut: Vec<(Instant, (Site, Site))>,
    full: Option<Instant>,
    /// What limits of containers and a full disk of the journal are done with, if they are wanted.
    limits: Option<Limits>,
    slow: Option<Instant>,
}

impl Disturber {
    pub(super) fn new(network: Arc<Network>, disk: Arc<Disk>, limits: Option<Limits>) -> Self {
        Self {
            network,
            disk,
            paused: Vec::new(),
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
        if let Some(limits) = &mut self.limits
            && random.u8(0..5) == 0
        {
            return limits.disturb(until, random).await;
        }
        match random.u8(0..12) {
            0 => {
                kill(&mut stand.frontdoor).await;
                stand.restart_frontdoor().await.unwrap();
                "frontdoor killed"
            }
            1 => {
                kill(&mut stand.agent).await;
                stand.restart_agent().await.unwrap();
                "agent killed"
            }
            2 => {
                stand.helper.as_mut().unwrap().restart().await.unwrap();
                "helper killed"
            }
            3 => {
                self.pause(until, stand.frontdoor.pid());
                "frontdoor paused"
            }
            4 => {
                self.pause(until, stand.agent.pid());
                "agent paused"
            }
            5 => {
                self.pause(until, stand.helper.as_ref().unwrap().pid());
                "helper paused"
            }
            6 => {
                self.cut(until, (Site::Client, Site::Frontdoor));
                "client cut off"
            }
            7 => {
                self.cut(until, (Site::Frontdoor, Site::Node));
                "node cut off"
            }
            8 => {
                stand.kubelet.cut().await.unwrap();
                "kubelet's connections cut"
            }
            9 => {
                let rate = random.u64(1..512) * 1024;
                stand.kubelet.faults().set_read_rate(rate);
                self.slow = Some(until);
                "kubelet reads slowly"
            }
            10 => {
                self.disk.fill();
                self.full = Some(until);
                "audit logs' disk full"
            }
            _ => {
                stand.kubelet.restart().await.unwrap();
                "kubelet restarted"
            }
        }
    }

    fn pause(&mut self, until: Instant, pid: Option<u32>) {
        let pid = Pid::from_raw(pid.unwrap() as i32).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        self.paused.push((until, pid));
    }

    fn cut(&mut self, until: Instant, link: (Site, Site)) {
        self.network.cut(link.0, link.1).unwrap();
        self.cut.push((until, link));
    }

    /// Ends what has lasted until `now`.
    pub(super) async fn mend(&mut self, stand: &Stand, now: Instant) {
        if let Some(limits) = &mut self.limits {
            limits.mend(now).await;
        }
        if self.slow.take_if(|until| *until <= now).is_some() {
            stand.kubelet.faults().set_read_rate(0);
        }
        if self.full.take_if(|until| *until <= now).is_some() {
            self.disk.free();
        }
        self.paused.retain(|(until, pid)| {
            if *until <= now {
                // It may have been killed in its sleep.
                let _ = kill_process(*pid, Signal::CONT);
            }
            *until > now
        });
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
