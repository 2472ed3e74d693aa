//! What sessions have left once they have come to rest: processes in containers, entries of the agent's
//! journal, and what both parts count.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::fixtures::stand::Stand;
use crate::instruments::eventually::eventually;

impl Stand {
    /// Looks at the processes of a container, as [`processes_in`] has them, until `look` answers
    /// something.
    ///
    /// [`processes_in`]: crate::real::containerd::Containerd::processes_in
    ///
    /// # Errors
    /// When it has not within this time; with the processes and the agent's log.
    pub async fn until_processes<T>(
        &self,
        within: Duration,
        container_id: &str,
        look: impl Fn(&[(u32, String)]) -> Option<T>,
    ) -> Result<T> {
        let containerd = self.containerd.as_ref();
        let containerd = containerd.context("this stand has no containerd")?;
        let found = eventually("the processes", within, || {
            std::future::ready(look(&containerd.processes_in(container_id)))
        });
        found.await.map_err(|error| {
            let all = containerd.processes_in(container_id);
            anyhow!("{error}: {all:?}\n{}", self.agent.log().join("\n"))
        })
    }

    /// What the agent's journal has of each session.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn journal(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.dir().join("journal"))?.flatten();
        // An entry that goes meanwhile does not count. The lock file is empty.
        let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
        Ok(texts.filter(|text| !text.is_empty()).collect())
    }

    /// Waits until `fits` holds for the agent's journal.
    ///
    /// # Errors
    /// When it does not within this time; with the journal and the agent's log.
    pub async fn until_journal(
        &self,
        within: Duration,
        fits: impl Fn(&[String]) -> bool,
    ) -> Result<()> {
        let look = || std::future::ready(self.journal().ok().filter(|all| fits(all)));
        match eventually("the journal", within, look).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let (all, log) = (self.journal()?, self.agent.log());
                Err(anyhow!("{error}: {all:#?}\n{}", log.join("\n")))
            }
        }
    }

    /// Waits until both parts count nothing that runs any more.
    ///
    /// # Errors
    /// When one does not within this time; with its metrics.
    pub async fn until_quiet(&self, within: Duration) -> Result<()> {
        let frontdoor = [
            "podgate_frontdoor_connections 0",
            "podgate_frontdoor_sessions_active 0",
        ];
        self.frontdoor.counts(within, &frontdoor).await?;
        let agent = ["podgate_agent_sessions_active 0"];
        self.agent.counts(within, &agent).await
    }
}
