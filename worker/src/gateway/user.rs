//! The user that the process runs as: never root, and never one that a container runs as.
//!
//! Whoever starts the process says which; the process itself takes it, before it knows anything from outside. That way
//! it does not matter whether that user may reach or execute the program's file.

use std::ops::RangeInclusive;

use rustix::process::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::GatewayError;

/// The user and group of a gateway that root starts and no setting names: the last before the containers'. It needs no
/// entry in `/etc/passwd`.
const OWN: Ids = Ids { uid: 60_599, gid: 60_599 };

/// The users that containers run as. Whoever has the uid of one can close nothing, but shares the kernel's limits with
/// it and is taken for it at its door.
const CONTAINERS: RangeInclusive<u32> = 60_600..=65_533;

/// To the kernel no user and no group, but those that it has already: root's.
const UNCHANGED: u32 = u32::MAX;

/// Where names are looked up; other sources of users are given by number.
const PASSWD: &str = "/etc/passwd";

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ids {
    uid: u32,
    gid: u32,
}

/// What a user that is to be taken is asked for: the setting, or nothing for the process's own.
///
/// `Ok(None)` means that it goes on as who starts it.
pub(super) fn chosen(wanted: Option<&str>) -> Result<Option<Ids>, GatewayError> {
    let starter = Ids { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    let passwd = || std::fs::read_to_string(PASSWD).unwrap_or_default();
    choose(wanted, starter, &passwd).map_err(|reason| GatewayError::User {
        user: wanted.map_or_else(|| OWN.uid.to_string(), str::to_owned),
        reason,
    })
}

fn choose(wanted: Option<&str>, starter: Ids, passwd: &dyn Fn() -> String) -> Result<Option<Ids>, String> {
    let ids = match wanted {
        None if starter.uid == 0 => OWN,
        None => return Ok(None),
        Some(text) => named(text, &passwd())?,
    };
    if ids.uid == 0 || ids.gid == 0 {
        return Err("it must not be root, nor in root's group".to_owned());
    }
    if ids.uid == UNCHANGED || ids.gid == UNCHANGED {
        return Err(format!("{UNCHANGED} is nobody"));
    }
    if CONTAINERS.contains(&ids.uid) {
        let (first, last) = (CONTAINERS.start(), CONTAINERS.end());
        return Err(format!("the uids {first} to {last} are the containers'"));
    }
    if ids == starter {
        return Ok(None);
    }
    if starter.uid != 0 {
        return Err(format!("only root can do that, and this is uid {}", starter.uid));
    }
    Ok(Some(ids))
}

/// `name`, `uid` or `uid:gid`. Without a group it is the user's own in `/etc/passwd`, else the one with its number.
fn named(text: &str, passwd: &str) -> Result<Ids, String> {
    let number = |text: &str| text.parse::<u32>().ok();
    if let Some((uid, gid)) = text.split_once(':') {
        let ids = number(uid).zip(number(gid)).map(|(uid, gid)| Ids { uid, gid });
        return ids.ok_or_else(|| "a user with a group is given as uid:gid, two numbers".to_owned());
    }
    let mut users = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        Some((name, Ids { uid: number(uid)?, gid: number(gid)? }))
    });
    if let Some(uid) = number(text) {
        let known = users.find(|(_, ids)| ids.uid == uid).map(|(_, ids)| ids);
        return Ok(known.unwrap_or(Ids { uid, gid: uid }));
    }
    let known = users.find(|(name, _)| *name == text).map(|(_, ids)| ids);
    known.ok_or_else(|| format!("{PASSWD} has no such user; a number needs no entry there"))
}

impl Ids {
    /// Makes the calling thread, which must be the only one, run as this user alone, for good.
    pub(super) fn take(self) -> Result<(), String> {
        let Self { uid, gid } = self;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::thread::set_thread_groups(&[])
            .and_then(|()| rustix::thread::set_thread_res_gid(gid, gid, gid))
            .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
            .map_err(|error| format!("cannot become uid {} and gid {}: {error}", self.uid, self.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Ids = Ids { uid: 0, gid: 0 };
    const SOMEBODY: Ids = Ids { uid: 1000, gid: 100 };

    fn passwd() -> String {
        "root:x:0:0:root:/root:/bin/sh\nweb:x:1234:567::/:/bin/false\nbroken\nfetch:x:60601:9::/:\n"
            .to_owned()
    }

    fn ask(wanted: &str, starter: Ids) -> Result<Option<Ids>, String> {
        choose(Some(wanted), starter, &passwd)
    }

    #[test]
    fn root_starts_it_as_a_user_of_its_own_and_others_as_themselves() {
        assert_eq!(choose(None, ROOT, &passwd), Ok(Some(OWN)));
        assert!(!CONTAINERS.contains(&OWN.uid));
        assert_eq!(choose(None, SOMEBODY, &passwd), Ok(None));
        assert_eq!(ask("1000:100", SOMEBODY), Ok(None));
    }

    #[test]
    fn a_user_is_named_or_numbered() {
        for (text, uid, gid) in [("web", 1234, 567), ("1234", 1234, 567), ("77", 77, 77), ("1234:8", 1234, 8)]
        {
            assert_eq!(ask(text, ROOT), Ok(Some(Ids { uid, gid })), "{text}");
        }
    }

    #[test]
    fn root_the_containers_users_and_strangers_are_refused() {
        for text in [
            "root",
            "0",
            "0:7",
            "7:0",
            "60600",
            "65533:1",
            "4294967295",
            "7:4294967295",
            "fetch",
            "nobody-there",
            "web:web",
            "1:",
            "",
        ] {
            assert!(ask(text, ROOT).is_err(), "{text}");
        }
        assert!(ask("web", SOMEBODY).is_err(), "only root can take another user");
    }
}
