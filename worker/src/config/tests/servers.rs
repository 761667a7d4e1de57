//! Which servers the settings name, and what is told of the way to them.

use super::*;

#[test]
fn a_token_that_everybody_on_the_way_can_read_is_told() {
    let told = |url: &str| {
        let text = format!("[database]\nurl = \"{url}\"\nauth_token = \"hunter2\"");
        let notices = load(&file(&text)).0.notices();
        assert!(notices.iter().all(|notice| !notice.contains("hunter2")), "{notices:?}");
        notices.iter().any(|notice| notice.contains("unencrypted"))
    };
    for url in
        ["http://db.example", "http://10.0.0.1:8080/x", "libsql://db.example?tls=0", "http://[fd00::1]:1"]
    {
        assert!(told(url), "{url}");
    }
    for url in [
        "https://db.example",
        "libsql://db.example",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:8080",
        "file:./local.db",
    ] {
        assert!(!told(url), "{url}");
    }
}

#[test]
fn the_kind_of_queue_follows_from_whether_there_is_a_redis_unless_it_is_said() {
    for (pairs, kind, origin) in [
        (&[][..], QueueKind::Embedded, "default"),
        (
            &[("REDIS_URL", "redis://r:1")],
            QueueKind::BullMq,
            "follows from queue.redis_url, environment REDIS_URL",
        ),
        (
            &[("REDIS_HOST", "r"), ("REDIS_PORT", "7000")],
            QueueKind::BullMq,
            "follows from queue.redis_host, environment REDIS_HOST",
        ),
        (&[("REDIS_PORT", "7000")], QueueKind::Embedded, "default"),
        (
            &[("REDIS_HOST", "r"), ("SAFEURL_QUEUE_KIND", "embedded")],
            QueueKind::Embedded,
            "environment SAFEURL_QUEUE_KIND",
        ),
        (
            &[("REDIS_HOST", "r"), ("SAFEURL_QUEUE_KIND", "bullmq")],
            QueueKind::BullMq,
            "environment SAFEURL_QUEUE_KIND",
        ),
    ] {
        let (settings, origins) = load(&environment(pairs));
        assert_eq!(settings.queue.kind, kind, "{pairs:?}");
        let shown = origins.get("queue.kind").expect("it is a key");
        assert_eq!((shown.text().as_str(), shown.origin.to_string().as_str()), (kind.as_str(), origin));
    }
    let unused = load(&environment(&[("REDIS_HOST", "r"), ("SAFEURL_QUEUE_KIND", "embedded")])).0.notices();
    assert!(unused[0].contains("jobs are taken from the database"), "{unused:?}");
}

#[test]
fn a_password_that_another_machine_is_sent_in_the_clear_is_told_of() {
    let notices = |pairs: &[(&str, &str)]| load(&environment(pairs)).0.notices();
    for pairs in [
        &[("REDIS_URL", "redis://:hunter2@r.example:1/2")][..],
        &[("REDIS_URL", "redis://u:hunter2@[2001:db8::1]")],
        &[("REDIS_HOST", "r.example"), ("REDIS_PASSWORD", "hunter2")],
    ] {
        let told = notices(pairs);
        assert!(told[0].contains("unencrypted") && !told[0].contains("hunter2"), "{pairs:?}: {told:?}");
    }
    for pairs in [
        &[("REDIS_URL", "rediss://:hunter2@r.example:1")][..],
        &[("REDIS_URL", "redis://:hunter2@127.0.0.1:1")],
        &[("REDIS_URL", "redis://:hunter2@[::1]:1")],
        &[("REDIS_URL", "redis://r.example")],
        &[("REDIS_URL", "unix:///run/redis.sock?pass=hunter2")],
        &[("REDIS_HOST", "localhost"), ("REDIS_PASSWORD", "hunter2")],
    ] {
        assert_eq!(notices(pairs), Vec::<String>::new(), "{pairs:?}");
    }
}
