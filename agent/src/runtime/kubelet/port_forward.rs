//! What the kubelet's port-forward reaches: the pod's loopback, and nothing else.

use podgate_proto::v1::{Address, TcpAddress, address};

/// The port, if the address is one of the pod's loopback that the runtime dials.
pub(super) fn loopback(address: &Address) -> Option<u16> {
    let Some(address::Address::Tcp(TcpAddress { host, port })) = &address.address else {
        return None;
    };
    let port = u16::try_from(*port).ok().filter(|port| *port != 0)?;
    let here = host == "127.0.0.1" || host.eq_ignore_ascii_case("localhost");
    here.then_some(port)
}

#[cfg(test)]
mod tests {
    use podgate_proto::v1::UnixSocket;

    use super::*;

    #[test]
    fn the_pods_loopback_and_nothing_else() {
        let tcp = |host: &str, port| Address {
            address: Some(address::Address::Tcp(TcpAddress {
                host: host.to_owned(),
                port,
            })),
        };
        assert_eq!(loopback(&tcp("127.0.0.1", 80)), Some(80));
        assert_eq!(loopback(&tcp("LocalHost", 65_535)), Some(65_535));
        let unix = Address {
            address: Some(address::Address::Unix(UnixSocket::default())),
        };
        for other in [
            tcp("127.0.0.1", 0),
            tcp("127.0.0.1", 65_536),
            tcp("127.0.0.2", 80),
            tcp("::1", 80),
            tcp("db.prod.svc", 80),
            unix,
            Address::default(),
        ] {
            assert_eq!(loopback(&other), None, "{other:?}");
        }
    }
}
