//! The one place where an address becomes dialable.

use std::io;
use std::net::{IpAddr, SocketAddr};

use safeurl_egress::{Decision, Policy};
use tokio::net::TcpStream;

/// An address and port that the policy allows. Only [`all`] makes one and only this can be dialled, so a name
/// cannot be resolved a second time between check and use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CheckedAddr(SocketAddr);

/// Judges all addresses of a name together. One denied address denies the name: an answer that mixes inside and
/// outside is how rebinding looks. The rule is that of the first denied address, else of the first one.
pub(super) fn all(
    policy: &Policy,
    addresses: &[IpAddr],
    port: u16,
) -> Result<(Vec<CheckedAddr>, &'static str), &'static str> {
    let decisions: Vec<Decision> = addresses.iter().map(|address| policy.check(*address, port)).collect();
    match decisions.iter().find(|decision| !decision.allowed) {
        Some(denied) => Err(denied.rule),
        None => {
            let rule = decisions.first().map_or("no-address", |decision| decision.rule);
            Ok((addresses.iter().map(|address| CheckedAddr((*address, port).into())).collect(), rule))
        }
    }
}

impl CheckedAddr {
    pub(super) const fn address(self) -> SocketAddr {
        self.0
    }

    /// Connects. How long that may take is the caller's business.
    pub(super) async fn connect(self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn one_denied_address_denies_all_and_names_its_rule() {
        let policy = Policy::default();
        assert_eq!(all(&policy, &addresses(&["1.1.1.1", "10.0.0.1", "127.0.0.1"]), 80), Err("private"));
        assert_eq!(all(&policy, &addresses(&["1.1.1.1"]), 25), Err("bad-port"));
        let (checked, rule) = all(&policy, &addresses(&["1.1.1.1", "2606:4700::1"]), 80).expect("allowed");
        assert_eq!(rule, "global");
        let dialable: Vec<String> = checked.iter().map(|checked| checked.address().to_string()).collect();
        assert_eq!(dialable, ["1.1.1.1:80", "[2606:4700::1]:80"]);
    }
}
