//! Rules for where something is: databases, engines, Redis, name servers, networks, host names.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use safeurl_egress::{Network, NetworkError};
use serde_json::Value;
use url::Url;

use super::{Rule, text, within};
use crate::config::raw::Raw;
use crate::config::secret::MaskedUrl;

fn masked(text: &str) -> String {
    format!("{:?}", MaskedUrl::new(text).to_string())
}

/// Splits `scheme://rest`.
fn scheme(text: &str) -> Option<(&str, &str)> {
    text.split_once("://").filter(|(scheme, _)| !scheme.is_empty() && !scheme.contains('/'))
}

fn printable(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) { Err("has control characters".to_owned()) } else { Ok(()) }
}

/// A database: a file or a remote one.
pub(in crate::config) struct Database;

impl Rule for Database {
    type Out = MaskedUrl;

    fn accepts(&self) -> String {
        "\"file:PATH\", a path, or a libsql:// or https:// URL".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<MaskedUrl, String> {
        let url = text(raw)?;
        printable(url)?;
        match scheme(url) {
            Some(("libsql" | "https" | "http", "")) => Err("names no host".to_owned()),
            Some(("libsql" | "https" | "http", _)) => Ok(MaskedUrl::new(url)),
            Some(("wss" | "ws", _)) => {
                Err("is a web socket, which is not spoken; write libsql:// or http:// instead".to_owned())
            }
            Some((scheme, _)) if scheme != "file" => Err(format!("has the unknown scheme {scheme}://")),
            Some(_) | None => match url.strip_prefix("file:").unwrap_or(url) {
                "" => Err("names no file".to_owned()),
                // Every connection would get a database of its own.
                ":memory:" => Err("would be gone with the process".to_owned()),
                _ => Ok(MaskedUrl::new(url)),
            },
        }
    }

    fn show(&self, value: &MaskedUrl) -> Value {
        Value::from(value.to_string())
    }

    fn quote(&self, text: &str) -> Option<String> {
        Some(masked(text))
    }
}

/// The engine's address.
pub(in crate::config) struct Engine;

impl Rule for Engine {
    type Out = String;

    fn accepts(&self) -> String {
        "unix:///path/to/docker.sock or tcp://host:port".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<String, String> {
        let url = text(raw)?;
        printable(url)?;
        match scheme(url) {
            Some(("unix", path)) if path.starts_with('/') => Ok(url.to_owned()),
            Some(("unix", _)) => Err("has no absolute path after unix://".to_owned()),
            Some(("tcp", host)) if !host.is_empty() => Ok(url.to_owned()),
            Some((scheme, _)) => Err(format!("has the scheme {scheme}://, which is not supported")),
            None => Err("has no scheme".to_owned()),
        }
    }

    fn show(&self, value: &String) -> Value {
        Value::from(value.as_str())
    }
}

/// Redis, or none.
pub(in crate::config) struct Redis;

impl Rule for Redis {
    type Out = Option<MaskedUrl>;

    fn accepts(&self) -> String {
        "a redis://, rediss:// or unix:// URL, or nothing".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<MaskedUrl>, String> {
        let url = text(raw)?;
        printable(url)?;
        if url.is_empty() {
            return Ok(None);
        }
        match scheme(url) {
            Some(("redis" | "rediss", _)) => redis_server(url)?,
            Some(("unix" | "redis+unix", rest)) if !rest.is_empty() => {}
            _ => return Err("is no address of Redis".to_owned()),
        }
        Ok(Some(MaskedUrl::new(url)))
    }

    fn show(&self, value: &Option<MaskedUrl>) -> Value {
        Value::from(value.as_ref().map(MaskedUrl::to_string).unwrap_or_default())
    }

    fn quote(&self, text: &str) -> Option<String> {
        Some(masked(text))
    }
}

/// What a client would only say when it connects.
fn redis_server(url: &str) -> Result<(), String> {
    let url = Url::parse(url).map_err(|error| format!("is no address of Redis: {error}"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a part after #, where an address of Redis has none".to_owned());
    }
    let number = url.path().trim_matches('/');
    if !number.is_empty() && number.parse::<u32>().is_err() {
        return Err(format!("has '{number}' behind the host, where the number of a database may stand"));
    }
    Ok(())
}

/// A port, never 0.
pub(in crate::config) struct Port;

const PORTS: RangeInclusive<u32> = 1..=65535;

impl Rule for Port {
    type Out = u16;

    fn accepts(&self) -> String {
        within(PORTS).accepts()
    }

    fn read(&self, raw: &Raw) -> Result<u16, String> {
        within(PORTS).read(raw).and_then(|port| u16::try_from(port).map_err(|wrong| wrong.to_string()))
    }

    fn show(&self, value: &u16) -> Value {
        Value::from(*value)
    }
}

/// An address of this machine to listen at, or none. A name could become another address between two starts.
pub(in crate::config) struct Listen;

impl Rule for Listen {
    type Out = Option<SocketAddr>;

    fn accepts(&self) -> String {
        "an address with its port, such as \"127.0.0.1:9464\" or \"[::1]:9464\", or nothing".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<SocketAddr>, String> {
        let text = text(raw)?;
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) if text.parse::<IpAddr>().is_ok() => Err("has no port".to_owned()),
            Err(_) => Err("is no address with a port".to_owned()),
        }
    }

    fn show(&self, value: &Option<SocketAddr>) -> Value {
        Value::from(value.map(|address| address.to_string()).unwrap_or_default())
    }
}

/// A name server; port 53 unless it says another.
pub(in crate::config) struct Resolver;

impl Rule for Resolver {
    type Out = SocketAddr;

    fn accepts(&self) -> String {
        "an address such as \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:53\"".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<SocketAddr, String> {
        let text = text(raw)?;
        let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
        match bare.or_else(|_| text.parse::<SocketAddr>()) {
            Ok(server) if server.port() != 0 => Ok(server),
            Ok(_) => Err("has port 0".to_owned()),
            Err(_) => Err("is no address".to_owned()),
        }
    }

    fn show(&self, value: &SocketAddr) -> Value {
        Value::from(value.to_string())
    }
}

/// A block of addresses.
pub(in crate::config) struct Subnet;

impl Rule for Subnet {
    type Out = Network;

    fn accepts(&self) -> String {
        "a network such as \"127.0.0.0/8\", \"fd00::/8\" or a bare address".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Network, String> {
        text(raw)?.parse().map_err(|wrong| match wrong {
            NetworkError::Address { .. } => "is no address or network".to_owned(),
            NetworkError::Prefix { .. } => "has no valid prefix length".to_owned(),
            NetworkError::HostBits { meant, .. } => {
                format!("has bits set beyond its prefix (the network is {meant})")
            }
        })
    }

    fn show(&self, value: &Network) -> Value {
        Value::from(value.to_string())
    }
}

/// Names with fixed addresses.
pub(in crate::config) struct HostMap {
    pub(in crate::config) most: usize,
}

impl Rule for HostMap {
    type Out = BTreeMap<String, IpAddr>;

    fn accepts(&self) -> String {
        format!(
            "up to {} names with their addresses, {{ \"name.test\" = \"10.0.0.5\" }} or name.test=10.0.0.5",
            self.most
        )
    }

    fn read(&self, raw: &Raw) -> Result<BTreeMap<String, IpAddr>, String> {
        let pairs = raw.pairs().ok_or_else(|| match raw {
            Raw::Loose(_) => "is not a list of name=address".to_owned(),
            _ => format!("is {}, not a table", raw.kind()),
        })?;
        if pairs.len() > self.most {
            return Err(format!("has {} names", pairs.len()));
        }
        let mut hosts = BTreeMap::new();
        for (name, address) in pairs {
            let name = host_name(&name).ok_or_else(|| format!("has {name:?}, which is no host name"))?;
            let address = text(&address)
                .and_then(|text| text.parse().map_err(|_| format!("{text:?} is no address")))
                .map_err(|wrong| format!("has {name}, but {wrong}"))?;
            if hosts.insert(name.clone(), address).is_some() {
                return Err(format!("has {name} twice"));
            }
        }
        Ok(hosts)
    }

    fn show(&self, value: &BTreeMap<String, IpAddr>) -> Value {
        value.iter().map(|(name, address)| (name.clone(), Value::from(address.to_string()))).collect()
    }

    fn quote(&self, _: &str) -> Option<String> {
        None
    }
}

/// As the gateway compares it: small letters, no dot at the end. An address is no name: the map would then not be
/// asked for it.
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let fine = name.len() <= 253 && name.split('.').all(label) && safeurl_egress::literal(&name).is_none();
    fine.then_some(name)
}
