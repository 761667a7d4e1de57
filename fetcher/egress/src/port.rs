//! The ports no browser connects to.

/// "Bad ports" of the WHATWG Fetch standard, <https://fetch.spec.whatwg.org/#port-blocking>, in its order, with
/// the service it names. They belong to protocols that can be confused by what looks like an HTTP request.
const BAD_PORTS: &[(u16, &str)] = &[
    (0, "-"),
    (1, "tcpmux"),
    (7, "echo"),
    (9, "discard"),
    (11, "systat"),
    (13, "daytime"),
    (15, "netstat"),
    (17, "qotd"),
    (19, "chargen"),
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (37, "time"),
    (42, "name"),
    (43, "nicname"),
    (53, "domain"),
    (69, "tftp"),
    (77, "-"),
    (79, "finger"),
    (87, "-"),
    (95, "supdup"),
    (101, "hostname"),
    (102, "iso-tsap"),
    (103, "gppitnp"),
    (104, "acr-nema"),
    (109, "pop2"),
    (110, "pop3"),
    (111, "sunrpc"),
    (113, "auth"),
    (115, "sftp"),
    (117, "uucp-path"),
    (119, "nntp"),
    (123, "ntp"),
    (135, "epmap"),
    (137, "netbios-ns"),
    (139, "netbios-ssn"),
    (143, "imap"),
    (161, "snmp"),
    (179, "bgp"),
    (389, "ldap"),
    (427, "svrloc"),
    (465, "submissions"),
    (512, "exec"),
    (513, "login"),
    (514, "shell"),
    (515, "printer"),
    (526, "tempo"),
    (530, "courier"),
    (531, "chat"),
    (532, "netnews"),
    (540, "uucp"),
    (548, "afp"),
    (554, "rtsp"),
    (556, "remotefs"),
    (563, "nntps"),
    (587, "submission"),
    (601, "syslog-conn"),
    (636, "ldaps"),
    (989, "ftps-data"),
    (990, "ftps"),
    (993, "imaps"),
    (995, "pop3s"),
    (1719, "h323gatestat"),
    (1720, "h323hostcall"),
    (1723, "pptp"),
    (2049, "nfs"),
    (3659, "apple-sasl"),
    (4045, "npp"),
    (4190, "sieve"),
    (5060, "sip"),
    (5061, "sips"),
    (6000, "x11"),
    (6566, "sane-port"),
    (6665, "ircu"),
    (6666, "ircu"),
    (6667, "ircu"),
    (6668, "ircu"),
    (6669, "ircu"),
    (6679, "osaut"),
    (6697, "ircs-u"),
    (10080, "amanda"),
];

/// Whether the port is one of the "bad ports" of the WHATWG Fetch standard.
#[must_use]
pub fn is_bad_port(port: u16) -> bool {
    BAD_PORTS.iter().any(|(bad, _)| *bad == port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_ports_are_good_and_those_of_other_protocols_are_bad() {
        for port in [80, 443, 8080, 8443, 3128, 21_000, 65_535] {
            assert!(!is_bad_port(port), "{port}");
        }
        for port in [0, 21, 22, 25, 6667, 6697, 10_080] {
            assert!(is_bad_port(port), "{port}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_names_no_port_twice() {
        assert!(BAD_PORTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
