use std::net::{IpAddr, SocketAddr};

/// The DNS port.
const PORT: u16 = 53;

/// The name servers of a `resolv.conf(5)`. Search domains and options are left out on purpose: a host in a URL is
/// complete. Addresses with a zone are skipped.
pub(super) fn name_servers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next()? == "nameserver").then_some(())?;
            let address: IpAddr = words.next()?.parse().ok()?;
            Some((address, PORT).into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_name_servers_are_read() {
        let text = "# nameserver 1.1.1.1\nsearch corp.example\nnameserver 192.0.2.1 # first\n\
                    options ndots:5\n;nameserver 2.2.2.2\n  nameserver\t2001:db8::1\nnameserver fe80::1%eth0\n\
                    nameserver\nnameservers 3.3.3.3\n";
        let expected: Vec<SocketAddr> = ["192.0.2.1:53", "[2001:db8::1]:53"]
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect();
        assert_eq!(name_servers(text), expected);
    }
}
