//! The system calls a container may use: the embedded list, and its variant for a container with a network card.
//!
//! Pure. The list is data (`config/seccomp.json`), each entry says who needs it. Refuses everything by default.

use serde_json::{Value, json};

use super::Network;

/// The list as it is in the repository.
const LIST: &str = include_str!("../../../config/seccomp.json");

/// AF_INET and AF_INET6, as in `socket(2)`.
const INET_FAMILIES: [u64; 2] = [2, 10];

/// The profile for the engine, as compact JSON.
///
/// # Panics
/// Never: the list is part of the program and a test parses it.
#[must_use]
pub fn profile(network: Network) -> String {
    let mut list: Value = serde_json::from_str(LIST).expect("the embedded list is JSON, a test reads it");
    match network {
        Network::None => {}
        Network::Bridge => {
            if let Some(calls) = list["syscalls"].as_array_mut() {
                calls.extend(inet());
            }
        }
    }
    list.to_string()
}

/// What a fetcher needs to resolve names and dial by itself. One rule a family: conditions on the same
/// argument inside one rule would all have to hold.
fn inet() -> impl Iterator<Item = Value> {
    let families = INET_FAMILIES.map(|family| {
        json!({
            "comment": "Bridge mode: the fetcher dials by itself.",
            "names": ["socket"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{ "index": 0, "value": family, "valueTwo": 0, "op": "SCMP_CMP_EQ" }],
        })
    });
    let calls = json!({
        "comment": "Bridge mode: UDP for names, options of TCP sockets.",
        "names": ["bind", "setsockopt"],
        "action": "SCMP_ACT_ALLOW",
    });
    families.into_iter().chain([calls])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(network: Network) -> Vec<Value> {
        let profile: Value = serde_json::from_str(&profile(network)).expect("JSON");
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        profile["syscalls"].as_array().expect("a list").clone()
    }

    fn allowed(network: Network, name: &str) -> Vec<Value> {
        calls(network)
            .into_iter()
            .filter(|call| call["action"] == "SCMP_ACT_ALLOW")
            .filter(|call| call["names"].as_array().expect("names").iter().any(|known| known == name))
            .collect()
    }

    #[test]
    fn every_entry_says_who_needs_it() {
        for call in calls(Network::Bridge) {
            assert!(call["comment"].as_str().is_some_and(|comment| comment.len() > 5), "{call}");
        }
    }

    #[test]
    fn no_call_is_named_twice_without_a_condition() {
        let mut seen = std::collections::HashSet::new();
        for call in calls(Network::None) {
            for name in call["names"].as_array().expect("names") {
                assert!(seen.insert(name.to_string()), "{name} stands twice");
            }
        }
    }

    #[test]
    fn dangerous_calls_are_not_on_the_list() {
        let dangerous = "io_uring_setup io_uring_enter userfaultfd bpf perf_event_open keyctl add_key request_key \
             ptrace process_vm_readv process_vm_writev mount umount2 fsopen move_mount open_tree unshare setns \
             fork vfork clone3 kexec_load open_by_handle_at name_to_handle_at pidfd_getfd memfd_create \
             memfd_secret personality socketcall socketpair execveat kill pivot_root chroot init_module shmat \
             msgget semget setrlimit setuid setgid setgroups sendmsg recvmsg sendmmsg accept listen link symlink unlink chmod";
        for name in dangerous.split_whitespace() {
            assert!(allowed(Network::Bridge, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_container_without_network_opens_unix_sockets_only() {
        let families = |network| -> Vec<_> {
            allowed(network, "socket").iter().map(|rule| rule["args"][0]["value"].clone()).collect()
        };
        assert_eq!(families(Network::None), [1]);
        assert_eq!(families(Network::Bridge), [1, 2, 10]);
        for name in ["bind", "setsockopt"] {
            assert!(allowed(Network::None, name).is_empty(), "{name}");
            assert_eq!(allowed(Network::Bridge, name).len(), 1, "{name}");
        }
    }
}
