//! The pods of some namespaces as a table, written in pieces: for a whole cluster it has megabytes.

use std::fmt::Write;
use std::sync::Arc;

use super::Cluster;
use super::record::Record;

/// Bytes of a piece, roughly.
const PIECE: usize = 32 * 1024;
const HEAD: [&str; 5] = ["NAMESPACE", "NAME", "READY", "STATUS", "NODE"];

/// A table that is written while it is read.
#[derive(Debug)]
pub(crate) struct Listing {
    cluster: Arc<Cluster>,
    namespaces: std::vec::IntoIter<String>,
    /// The namespace that is being written.
    namespace: String,
    pods: std::vec::IntoIter<Arc<Record>>,
    /// The widths of the columns. The last one is not padded.
    widths: [usize; 5],
    begun: bool,
}

impl Listing {
    /// Looks at all pods first, for the widths. Other tasks of the core have a turn after each
    /// namespace.
    pub(super) async fn new(cluster: Arc<Cluster>, namespaces: Vec<String>) -> Self {
        let mut widths = HEAD.map(str::len);
        for namespace in &namespaces {
            cluster.pods.each(namespace, |pod| {
                let lengths = [
                    namespace.len(),
                    pod.name.len(),
                    pod.at_work_width(),
                    pod.status().len(),
                ];
                for (width, length) in widths.iter_mut().zip(lengths) {
                    *width = length.max(*width);
                }
            });
            tokio::task::yield_now().await;
        }
        Self {
            cluster,
            namespaces: namespaces.into_iter(),
            namespace: String::new(),
            pods: Vec::new().into_iter(),
            widths,
            begun: false,
        }
    }

    fn line(&self, cells: &[impl AsRef<str>; 5], piece: &mut String) {
        for (cell, width) in cells.iter().zip(self.widths).take(HEAD.len() - 1) {
            let cell = cell.as_ref();
            // Writing to a string cannot fail.
            let _ = write!(piece, "{cell:width$}   ");
        }
        piece.push_str(cells.last().map_or("", AsRef::as_ref));
        piece.push('\n');
    }
}

impl Iterator for Listing {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut piece = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            self.line(&HEAD, &mut piece);
        }
        while piece.len() < PIECE {
            match self.pods.next() {
                Some(pod) => self.line(&cells(&self.namespace, &pod), &mut piece),
                None => match self.namespaces.next() {
                    Some(namespace) => {
                        self.pods = self.cluster.pods.of(&namespace).into_iter();
                        self.namespace = namespace;
                    }
                    None => break,
                },
            }
        }
        (!piece.is_empty()).then_some(piece)
    }
}

fn cells(namespace: &str, pod: &Record) -> [String; 5] {
    [
        namespace.to_owned(),
        pod.name.to_string(),
        pod.at_work(),
        pod.status().to_owned(),
        pod.node.as_deref().unwrap_or("<none>").to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::config::ClusterBounds;
    use crate::lookups::Lookups;
    use crate::metrics::Metrics;

    #[tokio::test(flavor = "current_thread")]
    async fn others_have_a_turn_after_each_namespace() {
        let (lookups, metrics) = (Arc::new(Lookups::new(1)), Arc::new(Metrics::new()));
        let bounds = ClusterBounds::default();
        let cluster = Cluster::new(true, Duration::ZERO, bounds, lookups, metrics);
        let cluster = Arc::new(cluster);
        let namespaces = ["a", "b", "c"].map(str::to_owned).to_vec();
        let mut listing = pin!(Listing::new(cluster, namespaces));
        for _ in 0..3 {
            assert!(listing.as_mut().now_or_never().is_none());
        }
        let head = listing.now_or_never().unwrap().next();
        assert_eq!(
            head.as_deref(),
            Some("NAMESPACE   NAME   READY   STATUS   NODE\n")
        );
    }
}
