//! resolv.conf(5), as far as Kubernetes and clouds write it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Name servers that are asked (MAXNS of resolv.conf(5)).
const MAX_SERVERS: usize = 3;
/// Domains that are searched (Kubernetes' own limit).
const MAX_SEARCH: usize = 32;
const MAX_NDOTS: usize = 15;
const PORT: u16 = 53;

/// Who is asked, and for which names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// A name with fewer dots is searched for before it is asked for as it is.
    ndots: usize,
}

impl Settings {
    pub(super) fn parse(file: &[u8]) -> Self {
        let mut servers = Vec::new();
        let (mut search, mut ndots) = (Vec::new(), 1);
        for line in String::from_utf8_lossy(file).lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    servers.extend(address.filter(|_| servers.len() < MAX_SERVERS));
                }
                // The last of them counts.
                Some("search" | "domain") => {
                    search = words.take(MAX_SEARCH).map(str::to_owned).collect();
                }
                Some("options") => {
                    let options = words.filter_map(|word| word.strip_prefix("ndots:"));
                    let last = options.filter_map(|number| number.parse().ok()).last();
                    ndots = last.unwrap_or(ndots).min(MAX_NDOTS);
                }
                _ => {}
            }
        }
        if servers.is_empty() {
            servers.push(Ipv4Addr::LOCALHOST.into());
        }
        let at = |server: IpAddr| SocketAddr::new(server.to_canonical(), PORT);
        Self {
            servers: servers.into_iter().map(at).collect(),
            search,
            ndots,
        }
    }

    /// The names to ask for, in order.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let searched = self.search.iter().map(|domain| {
            let domain = domain.trim_matches('.');
            match domain {
                "" => name.to_owned(),
                domain => format!("{name}.{domain}"),
            }
        });
        let itself = std::iter::once(name.to_owned());
        match name.matches('.').count() >= self.ndots {
            true => itself.chain(searched).collect(),
            false => searched.chain(itself).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_file_is_read() {
        let file = b"; made by a kubelet\nsearch prod.svc.cluster.local svc.cluster.local. cluster.local\n\
            nameserver 10.96.0.10\nnameserver fd00::a # second\nnameserver x\noptions timeout:1 ndots:5\n";
        let settings = Settings::parse(file);
        let servers = ["10.96.0.10:53", "[fd00::a]:53"];
        assert_eq!(settings.servers, servers.map(|text| text.parse().unwrap()));
        assert_eq!(
            settings.candidates("db"),
            [
                "db.prod.svc.cluster.local",
                "db.svc.cluster.local",
                "db.cluster.local",
                "db"
            ]
        );
        assert_eq!(
            settings.candidates("a.b.c.d.e.f").first().unwrap(),
            "a.b.c.d.e.f"
        );
        assert_eq!(settings.candidates("db.prod."), ["db.prod"]);
    }

    #[test]
    fn nothing_in_it_is_unbounded() {
        let file = [
            b"nameserver 10.0.0.1\n".repeat(50),
            [b"search".as_slice(), &b" a".repeat(500)].concat(),
            b"\noptions ndots:99999999 ndots:x\n".to_vec(),
        ];
        let settings = Settings::parse(&file.concat());
        assert_eq!(settings.servers.len(), MAX_SERVERS);
        assert_eq!(settings.search.len(), MAX_SEARCH);
        assert_eq!(settings.ndots, MAX_NDOTS);
        let none = Settings::parse(b"\xff\xfe\n");
        assert_eq!(none.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(none.candidates("db"), ["db"]);
    }
}
