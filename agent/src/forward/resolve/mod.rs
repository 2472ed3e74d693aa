//! Names as the pod resolves them: by the container's hosts and resolv.conf, and asked of its name servers
//! from its network. All of that is the container's own, so it may be hostile: each step is bounded.

mod hosts;
mod message;
mod settings;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use podgate_worker::sockets::{File, Transport};
use tokio::time::timeout;

use super::maker::{self, Maker};
use message::{Family, Query, Reply};
use settings::Settings;

/// For one answer of a name server, and for all that resolves a name.
const ANSWER: Duration = Duration::from_millis(1500);
const NAME: Duration = Duration::from_secs(6);
/// How often all name servers are asked.
const ROUNDS: usize = 2;
/// Bytes of an answer by UDP, at the most.
const MAX_DATAGRAM: usize = 4096;

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("name or service not known")]
    Unknown,
    #[error("temporary failure in name resolution")]
    Failed,
    #[error(transparent)]
    Maker(maker::Error),
}

/// The addresses of a name, those of IPv4 first; never none.
pub(super) async fn resolve(maker: &Maker, name: &str) -> Result<Vec<IpAddr>, Error> {
    let resolved = timeout(NAME, by_files_and_servers(maker, name));
    resolved.await.unwrap_or(Err(Error::Failed))
}

async fn by_files_and_servers(maker: &Maker, name: &str) -> Result<Vec<IpAddr>, Error> {
    let hosts = maker.read(File::Hosts).await.map_err(Error::Maker)?;
    let mut found = hosts::addresses(&hosts, name);
    if found.is_empty() && name.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    if !found.is_empty() {
        found.sort_by_key(IpAddr::is_ipv6);
        return Ok(found);
    }
    let file = maker.read(File::Resolver).await.map_err(Error::Maker)?;
    let settings = Settings::parse(&file);
    let mut failed = None;
    for candidate in settings.candidates(name) {
        let ask = |family| ask(maker, &settings, &candidate, family);
        let (v4, v6) = tokio::join!(ask(Family::V4), ask(Family::V6));
        let mut found = Vec::new();
        for one in [v4, v6] {
            match one {
                Ok(one) => found.extend(one),
                Err(error @ Error::Maker(_)) => return Err(error),
                // Another name of the search list may be one that its server knows.
                Err(error) => failed = Some(error),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(failed.unwrap_or(Error::Unknown))
}

/// A name's addresses of one family, from the first name server that answers.
async fn ask(
    maker: &Maker,
    settings: &Settings,
    name: &str,
    family: Family,
) -> Result<Vec<IpAddr>, Error> {
    let [high, low, ..] = RandomState::new().hash_one(name).to_be_bytes();
    let Some(query) = Query::new([high, low], name, family) else {
        return Ok(Vec::new());
    };
    for server in settings
        .servers
        .iter()
        .cycle()
        .take(settings.servers.len() * ROUNDS)
    {
        match timeout(ANSWER, exchange(maker, *server, &query)).await {
            Ok(Ok(Reply::Addresses(found))) => return Ok(found),
            Ok(Err(error @ maker::Error::Lost)) => return Err(Error::Maker(error)),
            Ok(Ok(_) | Err(_)) | Err(_) => {}
        }
    }
    Err(Error::Failed)
}

/// Asks one server, by TCP if its answer does not fit a datagram.
async fn exchange(maker: &Maker, server: SocketAddr, query: &Query) -> Result<Reply, maker::Error> {
    let socket = maker.connect(Transport::Udp, server).await?;
    socket.send(query.bytes()).await?;
    let reply = loop {
        let datagram = socket.receive(MAX_DATAGRAM).await?;
        // Whatever else arrives is no answer to this.
        if let Some(reply) = query.answer(&datagram) {
            break reply;
        }
    };
    if reply != Reply::Truncated {
        return Ok(reply);
    }
    let socket = maker.connect(Transport::Tcp, server).await?;
    socket.connected().await?;
    let length = u16::try_from(query.bytes().len()).unwrap_or_default();
    let framed = [&length.to_be_bytes(), query.bytes()].concat();
    socket.send_all(&framed).await?;
    let mut received = Vec::new();
    loop {
        if let Some((length, rest)) = received.split_first_chunk()
            && let Some(message) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        {
            return Ok(query.answer(message).unwrap_or(Reply::Failed));
        }
        let bytes = socket.receive(MAX_DATAGRAM).await?;
        if bytes.is_empty() {
            return Ok(Reply::Failed);
        }
        received.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/names");
        let (mut named, mut answered) = (0, 0);
        for file in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            named += hosts::addresses(&bytes, "db").len();
            named += Settings::parse(&bytes).candidates("db").len() - 1;
            let query = Query::new([0, 0], "db.prod.svc", Family::V4).unwrap();
            answered += usize::from(query.answer(&bytes).is_some());
        }
        assert_eq!(
            (named, answered),
            (4, 3),
            "of hosts, of resolv, and the answers"
        );
    }
}
