mod servers;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::key::KEYS;
use super::layers::{REFERENCE, defaults};
use super::*;

/// Sources with this file.
fn file(text: &str) -> Sources {
    Sources {
        file: Some(FileText { path: PathBuf::from("./safeurl.toml"), text: text.to_owned() }),
        ..Sources::default()
    }
}

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources {
        environment: pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        ..Sources::default()
    }
}

fn flag(key: &'static str, flag: &'static str, text: &str) -> Flag {
    Flag { key, flag, text: text.to_owned() }
}

fn load(sources: &Sources) -> (Settings, Origins) {
    Settings::load(sources).unwrap_or_else(|error| panic!("{sources:?}: {error}"))
}

fn refusal(sources: &Sources) -> String {
    match Settings::load(sources) {
        Ok(_) => panic!("accepted: {sources:?}"),
        Err(ConfigError::Invalid(problems)) => {
            let lines = problems.iter().map(|p| match &p.hint {
                Some(hint) => format!("{p} | {hint}"),
                None => p.to_string(),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        Err(other) => other.to_string(),
    }
}

#[test]
fn the_defaults_are_whole_and_valid() {
    let layer = defaults().expect("the embedded file is read");
    let there: BTreeSet<_> = layer.keys().copied().collect();
    let known: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(there, known);
    let (settings, origins) = load(&Sources::default());
    assert!(origins.iter().all(|shown| shown.origin == Origin::Default));
    assert_eq!(settings.worker.concurrency, 5);
    assert_eq!(settings.sandbox.timeout, Duration::from_secs(30));
    assert_eq!(settings.sandbox.memory, ByteSize::mib(512));
    assert_eq!(settings.database.url.expose(), "file:./local.db");
    assert_eq!(settings.notices(), Vec::<String>::new());
}

#[test]
fn every_key_is_shown_once_in_the_order_of_the_reference_file() {
    let (_, origins) = load(&Sources::default());
    let shown: Vec<_> = origins.iter().map(|shown| shown.key).collect();
    let known: Vec<_> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(shown, known);
    let places: Vec<_> = KEYS.iter().map(|key| REFERENCE.find(&format!("\n{} = ", key.name()))).collect();
    assert!(places.iter().all(Option::is_some), "{places:?}");
}

#[test]
fn every_key_has_a_variable_that_sets_it() {
    for key in KEYS {
        // A value that no rule accepts shows that the variable arrives at its key.
        let sources = environment(&[(&key.variable(), "\u{1}")]);
        let text = refusal(&sources);
        assert!(text.starts_with(&format!("environment {}: {}", key.variable(), key.path)), "{text}");
    }
}

#[test]
fn a_heavier_layer_wins() {
    let mut sources = file("[worker]\nconcurrency = 2\n");
    let mut seen = vec![];
    let mut look = |sources: &Sources| {
        let (settings, origins) = load(sources);
        let shown = origins.get("worker.concurrency").expect("it is a key");
        assert_eq!(shown.value, serde_json::json!(settings.worker.concurrency));
        seen.push((settings.worker.concurrency, shown.origin.to_string()));
    };
    look(&Sources::default());
    look(&sources);
    sources.dotenv.insert("WORKER_CONCURRENCY".into(), "3".into());
    look(&sources);
    sources.dotenv.insert("SAFEURL_WORKER_CONCURRENCY".into(), "4".into());
    look(&sources);
    sources.environment.insert("WORKER_CONCURRENCY".into(), "6".into());
    look(&sources);
    sources.environment.insert("SAFEURL_WORKER_CONCURRENCY".into(), "7".into());
    look(&sources);
    sources.flags.push(flag("worker.concurrency", "--concurrency", "8"));
    look(&sources);
    let expected = [
        (5, "default"),
        (2, "./safeurl.toml:2"),
        (3, ".env WORKER_CONCURRENCY"),
        (4, ".env SAFEURL_WORKER_CONCURRENCY"),
        (6, "environment WORKER_CONCURRENCY"),
        (7, "environment SAFEURL_WORKER_CONCURRENCY"),
        (8, "flag --concurrency"),
    ];
    assert_eq!(seen, expected.map(|(n, o)| (n, o.to_owned())));
}

#[test]
fn the_names_of_existing_installations_work() {
    let (settings, _) = load(&environment(&[
        ("TURSO_CONNECTION_URL", "file:./other.db"),
        ("TURSO_AUTH_TOKEN", "hunter2"),
        ("REDIS_URL", "redis://:hunter2@r:1"),
        ("REDIS_HOST", "r"),
        ("REDIS_PORT", "7000"),
        ("REDIS_PASSWORD", "hunter2"),
        ("DOCKER_SOCKET_PATH", "/x/docker.sock"),
        ("FETCHER_IMAGE", "registry:5000/safeurl-fetcher:v1@sha256:00"),
        ("WORKER_CONCURRENCY", "9"),
        ("CONTAINER_TIMEOUT_MS", "12500"),
        ("CONTAINER_MEMORY_LIMIT_MB", "256"),
        ("CONTAINER_CPU_LIMIT", "1"),
    ]));
    assert_eq!(settings.database.url.expose(), "file:./other.db");
    assert_eq!(settings.database.auth_token, Some(Secret::new("hunter2")));
    assert_eq!(settings.queue.redis_url, Some(MaskedUrl::new("redis://:hunter2@r:1")));
    assert_eq!((settings.queue.redis_host.as_deref(), settings.queue.redis_port), (Some("r"), 7000));
    assert_eq!(settings.queue.redis_password, Some(Secret::new("hunter2")));
    assert_eq!(settings.sandbox.docker_host, "unix:///x/docker.sock");
    assert_eq!(settings.sandbox.image.as_deref(), Some("registry:5000/safeurl-fetcher:v1@sha256:00"));
    assert_eq!(settings.worker.concurrency, 9);
    assert_eq!(settings.sandbox.timeout, Duration::from_millis(12_500));
    assert_eq!(settings.sandbox.memory, ByteSize::mib(256));
    assert!((settings.sandbox.cpus - 1.0).abs() < f64::EPSILON);
    assert_eq!(settings.queue.kind, QueueKind::BullMq);
}

#[test]
fn docker_host_beats_the_socket_path_and_our_name_beats_both() {
    let old = [("DOCKER_SOCKET_PATH", "/a.sock"), ("DOCKER_HOST", "tcp://127.0.0.1:2375")];
    assert_eq!(load(&environment(&old)).0.sandbox.docker_host, "tcp://127.0.0.1:2375");
    let all = [old[0], old[1], ("SAFEURL_SANDBOX_DOCKER_HOST", "unix:///b.sock")];
    assert_eq!(load(&environment(&all)).0.sandbox.docker_host, "unix:///b.sock");
    let with_scheme = [("DOCKER_SOCKET_PATH", "unix:///a.sock"), ("CONTAINER_TIMEOUT_MS", "5s")];
    let settings = load(&environment(&with_scheme)).0;
    assert_eq!(settings.sandbox.docker_host, "unix:///a.sock");
    assert_eq!(settings.sandbox.timeout, Duration::from_secs(5));
}

#[test]
fn an_empty_older_variable_is_not_set() {
    let (settings, origins) =
        load(&environment(&[("TURSO_AUTH_TOKEN", ""), ("REDIS_HOST", " "), ("WORKER_CONCURRENCY", "")]));
    assert_eq!((settings.database.auth_token, settings.worker.concurrency), (None, 5));
    assert!(!origins.is_set("queue.redis_host"));
}

#[test]
fn lists_and_tables_come_from_files_and_variables_alike() {
    let from_file = file(
        r#"[gateway]
allow_networks = ["127.0.0.0/8", "::1"]
resolvers = ["127.0.0.1:5353", "::1"]
hosts = { "A.test." = "127.0.0.1", "b.test" = "::1" }
"#,
    );
    let from_variables = environment(&[
        ("SAFEURL_GATEWAY_ALLOW_NETWORKS", "127.0.0.0/8, ::1"),
        ("SAFEURL_GATEWAY_RESOLVERS", "127.0.0.1:5353,::1"),
        ("SAFEURL_GATEWAY_HOSTS", "A.test.=127.0.0.1,b.test=::1"),
    ]);
    let (one, other) = (load(&from_file).0.gateway, load(&from_variables).0.gateway);
    assert_eq!(one, other);
    assert_eq!(
        one.allow_networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.0/8", "::1/128"]
    );
    assert_eq!(one.resolvers[1].to_string(), "[::1]:53");
    assert_eq!(one.hosts.keys().collect::<Vec<_>>(), ["a.test", "b.test"]);
    let emptied = Sources {
        environment: environment(&[("SAFEURL_GATEWAY_HOSTS", ""), ("SAFEURL_GATEWAY_RESOLVERS", "")])
            .environment,
        ..from_file
    };
    let emptied = load(&emptied).0.gateway;
    assert!(emptied.hosts.is_empty() && emptied.resolvers.is_empty());
}

#[test]
fn flags_for_networks_and_headers_add_to_the_layers_below() {
    let mut sources = file("[gateway]\nallow_networks = [\"10.0.0.0/8\"]\n[fetch]\nheaders = [\"A: 1\"]\n");
    sources.flags = vec![
        flag("gateway.allow_networks", "--allow-net", "127.0.0.1"),
        flag("gateway.allow_networks", "--allow-net", "::1"),
        flag("fetch.headers", "--header", "B: 1, 2"),
    ];
    let (settings, origins) = load(&sources);
    let networks: Vec<_> = settings.gateway.allow_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "127.0.0.1/32", "::1/128"]);
    let headers: Vec<_> =
        settings.fetch.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
    assert_eq!(headers, [("A", "1"), ("B", "1, 2")]);
    let origin = |key| origins.get(key).map(|shown| shown.origin.to_string()).unwrap_or_default();
    assert_eq!(origin("gateway.allow_networks"), "flag --allow-net added to ./safeurl.toml:2");
    assert_eq!(origin("fetch.headers"), "flag --header added to ./safeurl.toml:4");
}

#[test]
fn a_misspelt_name_gets_the_name_that_was_meant() {
    for (text, expected) in [
        (
            "[sandbox]\n\ntimout = \"10s\"",
            "./safeurl.toml:3: there is no setting sandbox.timout | did you mean timeout in [sandbox]?",
        ),
        (
            "[worker]\nmemory = \"1GiB\"",
            "./safeurl.toml:2: there is no setting worker.memory | did you mean memory in [sandbox]?",
        ),
        (
            "concurrency = 3",
            "./safeurl.toml:1: there is no setting concurrency | did you mean concurrency in [worker]?",
        ),
        ("\n[sanbox]\ncpus = 1", "./safeurl.toml:2: there is no section [sanbox] | did you mean [sandbox]?"),
        (
            "[fetch]\nquux = 1",
            "./safeurl.toml:2: there is no setting fetch.quux | `safeurl config show` lists every setting",
        ),
    ] {
        assert_eq!(refusal(&file(text)), expected);
    }
    for (name, expected) in [
        ("SAFEURL_SANDBOX_TIMOUT", "did you mean SAFEURL_SANDBOX_TIMEOUT?"),
        ("SAFEURL_WORKER_CONCURENCY", "did you mean SAFEURL_WORKER_CONCURRENCY?"),
        ("SAFEURL_X", "`safeurl config show` lists every setting"),
    ] {
        let expected = format!("environment {name}: there is no such setting | {expected}");
        assert_eq!(refusal(&environment(&[(name, "1")])), expected);
    }
    load(&environment(&[("SAFEURL_CORPORA", "/x"), ("UNRELATED", "1")]));
}

#[test]
fn wrong_values_say_what_is_wrong_where_and_what_is_accepted() {
    for (section, line, expected) in [
        ("sandbox", r#"timeout = "1s""#, r#"sandbox.timeout: "1s" is less than 2s; accepted: a duration"#),
        ("sandbox", r#"timeout = "2h""#, r#"sandbox.timeout: "2h" is more than 1h; accepted: a duration"#),
        ("sandbox", r#"timeout = "30""#, r#"sandbox.timeout: "30" has no unit; accepted: a duration"#),
        ("sandbox", r"timeout = 30", "sandbox.timeout: 30 has no unit; accepted: a duration"),
        ("sandbox", r#"timeout = "soon""#, r#"sandbox.timeout: "soon" is not a duration; accepted"#),
        ("sandbox", r#"memory = "512""#, r#"sandbox.memory: "512" has no unit; accepted: a size"#),
        ("sandbox", r#"memory = "1MiB""#, r#"sandbox.memory: "1MiB" is less than 32MiB; accepted"#),
        ("sandbox", r"cpus = 0", "sandbox.cpus: 0 is less than 0.05; accepted: a number from 0.05 to 64"),
        ("sandbox", r"cpus = nan", "sandbox.cpus: nan is not a number"),
        ("sandbox", r"pids = [1]", "sandbox.pids: is a list, not a whole number"),
        (
            "sandbox",
            r#"network = "host""#,
            r#"sandbox.network: "host" is none of the words for it; accepted: "none" or "bridge""#,
        ),
        ("sandbox", r#"runtime = "--x""#, r#"sandbox.runtime: "--x" is not a runtime's name"#),
        (
            "sandbox",
            r#"docker_host = "/var/run/docker.sock""#,
            "sandbox.docker_host: \"/var/run/docker.sock\" has no scheme; accepted: unix:///",
        ),
        ("sandbox", r#"docker_host = "ssh://h""#, "has the scheme ssh://, which is not supported"),
        ("sandbox", r#"run_dir = "run""#, r#"sandbox.run_dir: "run" is not absolute"#),
        (
            "worker",
            r#"concurrency = "5""#,
            r#"worker.concurrency: "5" is text, not a whole number; accepted: a whole number from 1 to 256"#,
        ),
        ("worker", "concurrency = 0", "worker.concurrency: 0 is less than 1"),
        ("worker", "concurrency = -1", "worker.concurrency: -1 is less than 1"),
        ("worker", "concurrency = 99999999999", "worker.concurrency: 99999999999 is more than 256"),
        ("fetch", "respect_robots = 1", "fetch.respect_robots: 1 is a number, not a truth value"),
        ("fetch", "respect_robots = \"true\"", "is text, not a truth value"),
        ("worker", "concurrency = true", "worker.concurrency: is a truth value, not a whole number"),
        ("queue", r#"kind = "bullmq""#, "queue.kind: \"bullmq\" needs queue.redis_url or queue.redis_host"),
        (
            "queue",
            r#"kind = "rabbit""#,
            r#"queue.kind: "rabbit" is no kind of queue; accepted: "embedded", "bullmq", or nothing"#,
        ),
        ("queue", r#"redis_url = "redis://h:abc""#, "is no address of Redis: invalid port number"),
        ("queue", r#"redis_url = "redis://:secret@""#, "is no address of Redis: empty host"),
        ("queue", r#"redis_url = "rediss://h/first""#, "has 'first' behind the host, where the number"),
        ("queue", r#"redis_url = "redis://h#insecure""#, "has a part after #"),
        ("queue", r#"name = "a:b""#, r#"queue.name: "a:b" has a colon, which separates the parts of a key"#),
        ("queue", r#"name = "a b""#, r#"queue.name: "a b" has spaces"#),
        ("queue", r#"name = "{a""#, r#"queue.name: "{a" has a brace that makes no hash tag"#),
        ("queue", r#"prefix = "bull:""#, r#"queue.prefix: "bull:" ends with a colon"#),
        ("queue", r#"prefix = "{}bull""#, r#"queue.prefix: "{}bull" has a brace that makes no hash tag"#),
        ("queue", r#"lock_duration = "10ms""#, r#"queue.lock_duration: "10ms" is less than 1s"#),
        (
            "gateway",
            r#"allow_networks = ["10.1.0.0/8"]"#,
            r#"gateway.allow_networks: "10.1.0.0/8" in it has bits set beyond its prefix (the network is 10.0.0.0/8)"#,
        ),
        (
            "gateway",
            r#"allow_networks = "::1""#,
            "gateway.allow_networks: is text, not a list; accepted: a list of up to 1024, each a network",
        ),
        ("gateway", r#"hosts = { "a b" = "::1" }"#, r#"gateway.hosts: has "a b", which is no host name"#),
        ("gateway", r#"hosts = { "127.1" = "::1" }"#, r#"gateway.hosts: has "127.1", which is no host name"#),
        ("gateway", r#"hosts = { a = "b" }"#, r#"gateway.hosts: has a, but "b" is no address"#),
        ("gateway", r#"bytes_in = "1MiB""#, "gateway.bytes_in: 1MiB is less than fetch.body_cap, 10MiB"),
        (
            "fetch",
            r#"headers = ["Host: x"]"#,
            "fetch.headers: item 1 in it names Host, which the fetcher sets by itself",
        ),
        ("fetch", r#"headers = ["A: 1", "a: 2"]"#, "fetch.headers: has a twice"),
        (
            "fetch",
            "user_agent = \"a\\nb\"",
            r#"fetch.user_agent: "a\nb" has characters that are not visible ASCII"#,
        ),
        (
            "database",
            r#"url = "mysql://u:hunter2@h""#,
            r#"database.url: "mysql://u:***@h" has the unknown scheme mysql://"#,
        ),
        ("database", r#"url = ":memory:""#, r#"database.url: ":memory:" would be gone with the process"#),
        (
            "database",
            r#"url = "wss://u:hunter2@h""#,
            r#"database.url: "wss://u:***@h" is a web socket, which is not spoken"#,
        ),
        ("gateway", r#"user = "root""#, r#"gateway.user: "root" is root"#),
        ("gateway", r#"user = "0""#, r#"gateway.user: "0" is root"#),
        ("gateway", r#"user = "0:7""#, r#"gateway.user: "0:7" is root"#),
        ("gateway", r#"user = "7:00""#, r#"gateway.user: "7:00" is in root's group"#),
        ("gateway", r#"user = "60600""#, r#"gateway.user: "60600" is a uid of containers"#),
        ("gateway", r#"user = "65533:7""#, r#"gateway.user: "65533:7" is a uid of containers"#),
        ("gateway", r#"user = "web:web""#, r#"gateway.user: "web:web" is not a uid and a gid, two numbers"#),
        ("gateway", r#"user = "7:""#, r#"gateway.user: "7:" is not a uid and a gid, two numbers"#),
        ("gateway", r#"user = "4294967295""#, "has a number beyond 4294967294"),
        ("gateway", r#"user = "we b""#, r#"gateway.user: "we b" is not a user's name, uid or uid:gid"#),
        ("database", "auth_token = \"hunter2\\n\"", "database.auth_token: has control characters"),
    ] {
        let text = refusal(&file(&format!("[{section}]\n{line}")));
        assert!(
            text.starts_with("./safeurl.toml:2: ") && text.contains(expected),
            "{line}\n{text}\n{expected}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_user_that_the_gateway_may_have_is_taken_as_it_stands() {
    for text in ["", "web", "60599", "59998:59997", "65534", "7:65533"] {
        let (settings, _) = load(&environment(&[("SAFEURL_GATEWAY_USER", text)]));
        assert_eq!(settings.gateway.user.unwrap_or_default(), text);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let mut sources = file("[sandbox]\ntimeout = \"1s\"\nfoo = 1\n[worker]\nconcurrency = 0\n");
    sources.flags.push(flag("sandbox.cpus", "--cpus", "many"));
    sources.environment.insert("CONTAINER_MEMORY_LIMIT_MB".into(), "lots".into());
    let text = refusal(&sources);
    for part in [
        "./safeurl.toml:3: there is no setting sandbox.foo",
        "./safeurl.toml:2: sandbox.timeout: ",
        "./safeurl.toml:5: worker.concurrency: ",
        "flag --cpus: sandbox.cpus: \"many\" is not a number",
        "environment CONTAINER_MEMORY_LIMIT_MB: sandbox.memory: \"lots\" is not a size",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let text = refusal(&file("[sandbox]\ncpus = \n"));
    assert!(text.starts_with("./safeurl.toml:2: "), "{text}");
}

#[test]
fn nothing_that_is_shown_holds_a_secret() {
    let (settings, origins) = load(&environment(&[
        ("TURSO_CONNECTION_URL", "libsql://h.example?authToken=hunter2"),
        ("TURSO_AUTH_TOKEN", "hunter2"),
        ("REDIS_URL", "redis://user:hunter2@r"),
        ("REDIS_PASSWORD", "hunter2"),
        ("SAFEURL_FETCH_HEADERS", "Authorization: hunter2"),
    ]));
    for shown in origins.iter() {
        assert!(!format!("{shown:?} {}", shown.text()).contains("hunter2"), "{shown:?}");
    }
    let debug = format!("{:?} {:?}", settings.database, settings.queue);
    assert!(!debug.contains("hunter2"), "{debug}");
    assert_eq!(origins.get("fetch.headers").map(Shown::text).as_deref(), Some("Authorization: ***"));
    assert_eq!(origins.get("database.auth_token").map(Shown::text).as_deref(), Some("***"));
}

#[test]
fn the_example_of_a_dotenv_file_is_read_and_changes_nothing() {
    let text = include_str!("../../../config/.env.example");
    let dotenv = dotenvy::Iter::new(text.as_bytes()).collect::<Result<_, _>>().expect("it is a .env file");
    let (settings, _) = load(&Sources { dotenv, ..Sources::default() });
    assert_eq!(settings, load(&Sources::default()).0);
}

#[test]
fn the_run_directory_fits_whoever_starts_the_program() {
    let run_dir = |uid, xdg: Option<&str>| {
        let environment = xdg.map(|dir| ("XDG_RUNTIME_DIR".to_owned(), dir.to_owned())).into_iter().collect();
        load(&Sources { uid, environment, ..Sources::default() }).0.sandbox.run_dir
    };
    assert_eq!(run_dir(0, Some("/run/user/0")), PathBuf::from("/run/safeurl"));
    assert_eq!(run_dir(7, Some("/run/user/7")), PathBuf::from("/run/user/7/safeurl"));
    for unusable in [None, Some("relative"), Some("/a:b"), Some(&*format!("/{}", "x".repeat(60)))] {
        assert_eq!(run_dir(7, unusable), PathBuf::from("/tmp/safeurl-7"), "{unusable:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_in_any_layer_does_worse_than_being_refused(
        file_text in r#"(\[(sandbox|gateway|fetch|x)\]\n)?([a-z_]{1,12} = ("[^"\n]{0,20}"|[-0-9a-z.]{0,8}|\[.{0,20}\]|\{.{0,20}\})\n){0,4}.{0,20}"#,
        values in proptest::collection::vec((0..KEYS.len(), ".{0,40}", proptest::bool::ANY), 0..6),
    ) {
        let mut sources = file(&file_text);
        for (n, text, as_flag) in values {
            if as_flag {
                sources.flags.push(flag(KEYS[n].path, "--flag", &text));
            } else {
                sources.environment.insert(KEYS[n].variable(), text);
            }
        }
        match Settings::load(&sources) {
            Ok((_, origins)) => proptest::prop_assert_eq!(origins.iter().count(), KEYS.len()),
            Err(error) => proptest::prop_assert!(!error.to_string().is_empty()),
        }
    }
}
