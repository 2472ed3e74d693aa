//! What comes to a stand that runs: users, a second frontdoor, and parts started again.

use anyhow::Result;

use super::Stand;
use crate::gateway::Part;
use crate::network::Site;
use crate::ssh::{Client, keygen};

impl Stand {
    /// A client with a new key that nobody knows, and the key's line.
    ///
    /// # Errors
    /// When there is one of this name already, or no ssh-keygen.
    pub async fn stranger(&self, name: &str) -> Result<(Client, String)> {
        let dir = self.dir().join(name);
        std::fs::create_dir(&dir)?;
        let key = keygen(&dir.join("id"), &["-t", "ed25519"]).await?;
        std::fs::copy(self.dir().join("known_hosts"), dir.join("known_hosts"))?;
        Ok((Client::new(&dir, self.frontdoor.port()), key))
    }

    /// One more user, with a client of their own.
    ///
    /// # Errors
    /// As of [`stranger`](Self::stranger).
    pub async fn add_user(&self, name: &str) -> Result<Client> {
        let (client, key) = self.stranger(name).await?;
        let users = self.dir().join("users.yaml");
        let draft = users.with_extension("draft");
        let known = std::fs::read_to_string(&users)?;
        std::fs::write(
            &draft,
            format!("{known}- {{name: {name}, keys: ['{key}']}}\n"),
        )?;
        std::fs::rename(draft, users)?;
        Ok(client)
    }

    /// A second frontdoor of the same configuration, with a client of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn another_frontdoor(&self) -> Result<(Part, Client)> {
        let frontdoor = Part::start(
            "podgate-frontdoor",
            &self.dir().join("podgate-frontdoor.yaml"),
        )
        .await?;
        let host = std::fs::read_to_string(self.dir().join("host.pub"))?;
        let known = std::fs::read_to_string(self.dir().join("known_hosts"))?;
        let known = format!("{known}[127.0.0.1]:{} {host}", frontdoor.port());
        std::fs::write(self.dir().join("known_hosts"), known)?;
        let client = Client::new(self.dir(), frontdoor.port());
        Ok((frontdoor, client))
    }

    /// Starts the agent again, on the same port, after a test has ended it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_agent(&mut self) -> Result<()> {
        let port = self.agent.port();
        self.agent = self.sites.again(Site::Node, self.dir.path(), port).await?;
        Ok(())
    }

    /// Starts the frontdoor again, on the same port, after a test has ended it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart_frontdoor(&mut self) -> Result<()> {
        let port = self.frontdoor.port();
        let again = self.sites.again(Site::Frontdoor, self.dir.path(), port);
        self.frontdoor = again.await?;
        Ok(())
    }
}
