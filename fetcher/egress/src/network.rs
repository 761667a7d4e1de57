use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses of one family, written as `127.0.0.0/8`, `::1/128` or a bare address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkError {
    /// The part before the slash is not an address.
    Address {
        /// The text.
        text: String,
    },
    /// The prefix length is not a number up to 32 or 128.
    Prefix {
        /// The text.
        text: String,
    },
    /// Bits beyond the prefix are set, so it is unclear which network is meant.
    HostBits {
        /// The text.
        text: String,
        /// The network those bits are in.
        meant: Network,
    },
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text } => write!(f, "'{text}' is not an IP address or network"),
            Self::Prefix { text } => write!(f, "'{text}' has no valid prefix length"),
            Self::HostBits { text, meant } => {
                write!(f, "'{text}' has bits set beyond its prefix; the network is {meant}")
            }
        }
    }
}

impl std::error::Error for NetworkError {}

impl Network {
    /// Whether the address is in this block. Families never match each other: `::ffff:127.0.0.1` is not in
    /// `127.0.0.0/8`, because the kernel dials the two differently.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                masked(address, self.prefix) == self.address
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    // A shift by the full width is the empty prefix, not an overflow.
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let text = text.trim();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address { text: text.to_owned() })?;
        let whole = Self::from(address);
        let Some(prefix) = prefix else { return Ok(whole) };
        let prefix = prefix
            .parse::<u8>()
            .ok()
            .filter(|length| *length <= whole.prefix && prefix.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| NetworkError::Prefix { text: text.to_owned() })?;
        let network = Self { address: masked(address, prefix), prefix };
        if network.address != address {
            return Err(NetworkError::HostBits { text: text.to_owned(), meant: network });
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("the test writes addresses correctly")
    }

    #[test]
    fn a_network_is_shown_as_it_is_read_and_a_bare_address_is_a_host() {
        for (text, shown) in [
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("::1/128", "::1/128"),
            ("10.1.2.3", "10.1.2.3/32"),
            (" fd00::1 ", "fd00::1/128"),
        ] {
            assert_eq!(network(text).to_string(), shown);
        }
    }

    #[test]
    fn a_network_holds_its_first_and_last_address_and_not_their_neighbours() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("192.0.2.7/32", ["192.0.2.7", "192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
            ("fc00::/7", ["fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["fbff::", "fe00::"]),
            ("127.0.0.0/8", ["127.0.0.0", "127.0.0.1"], ["::ffff:127.0.0.1", "::1"]),
        ] {
            for text in inside {
                assert!(network(block).contains(address(text)), "{text} in {block}");
            }
            for text in outside {
                assert!(!network(block).contains(address(text)), "{text} not in {block}");
            }
        }
        assert!(network("0.0.0.0/0").contains(address("255.255.255.255")));
        assert!(!network("0.0.0.0/0").contains(address("::")));
    }

    #[test]
    fn a_text_that_is_unclear_is_refused_with_the_reason() {
        for (text, reason) in [
            ("localhost", "'localhost' is not an IP address or network"),
            ("127.1/8", "'127.1/8' is not an IP address or network"),
            ("10.0.0.0/33", "'10.0.0.0/33' has no valid prefix length"),
            ("10.0.0.0/+8", "'10.0.0.0/+8' has no valid prefix length"),
            ("::/129", "'::/129' has no valid prefix length"),
            ("10.0.0.1/8", "'10.0.0.1/8' has bits set beyond its prefix; the network is 10.0.0.0/8"),
        ] {
            assert_eq!(text.parse::<Network>().map_err(|error| error.to_string()), Err(reason.to_owned()));
        }
    }
}
