//! What the kubelet's clients of all cores share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::identify::Starts;
use super::pods::{Lists, lists};
use crate::node_helper::NodeHelper;
use crate::runtime::trace::{Trace, kubelet};

#[derive(Debug)]
pub(crate) struct NodeState {
    pub(super) helper: Option<NodeHelper>,
    /// Programs that nothing marks.
    pub(super) starts: Starts,
    pub(super) lists: Arc<Lists>,
}

impl NodeState {
    pub(crate) fn new(helper: Option<NodeHelper>) -> Self {
        Self {
            helper,
            starts: Starts::default(),
            lists: Arc::new(lists()),
        }
    }

    /// Stays connected to the helper, if there is one, until `closed`.
    pub(crate) async fn stay(&self, closed: &CancellationToken) {
        if let Some(helper) = &self.helper {
            helper.stay(closed).await;
        }
    }

    /// Takes the process that an earlier agent knew, so that it is not taken for another session's.
    pub(crate) fn claim(&self, trace: &Trace) {
        let Trace::Kubelet(trace) = trace;
        if let kubelet::Trace::Words(words) = trace
            && let Some(leader) = &words.leader
        {
            self.starts.claim(leader.clone());
        }
    }
}
