use std::net::TcpListener;
use std::sync::Arc;
use std::sync::LazyLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;

use super::*;
use crate::queue::bullmq::testing::{Proxy, Redis, until};

/// Writes, and answers with what it counted.
static COUNT: LazyLock<Operation> =
    LazyLock::new(|| Operation::new("count", "return redis.call('INCR', KEYS[1] .. 'n')"));

static LIST: LazyLock<Operation> =
    LazyLock::new(|| Operation::new("list", "return {redis.call('EXISTS', KEYS[1] .. 'n'), {'inner'}}"));

fn keys() -> Keys {
    Keys::new("bull", "scan-jobs")
}

fn link(url: &str) -> Link {
    Link::new(&RedisConfig { url: url.to_owned(), name: "w1".to_owned() }, keys()).expect("an address")
}

async fn count(link: &Link) -> Result<u64, RedisError> {
    link.run(&COUNT, &[]).await
}

fn is_silent(link: &Link) -> bool {
    matches!(*link.standing().borrow(), Standing::Silent { .. })
}

async fn command<T: FromRedisValue>(redis: &Redis, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(&mut redis.connection().await).await.expect("an answer")
}

#[tokio::test]
async fn a_killed_redis_is_found_again_and_nobody_waits_longer_than_for_an_error() {
    let mut redis = Redis::start().await;
    let link = Arc::new(redis.link());
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move {
                let (mut failed, mut after) = (0, 0);
                // Each goes on until it saw Redis go and come back.
                while failed == 0 || after < 10 {
                    match count(&link).await {
                        Ok(_) if failed > 0 => after += 1,
                        Ok(_) => tokio::task::yield_now().await,
                        Err(error) => {
                            assert!(error.is_transient(), "{error:?}");
                            failed += 1;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
            })
        })
        .collect();
    until("calls come through", async || count(&link).await.is_ok()).await;
    redis.kill();
    until("it is known to be away", async || {
        let _ = count(&link).await;
        is_silent(&link)
    })
    .await;
    redis.start_again(&[]);
    for caller in callers {
        tokio::time::timeout(Duration::from_secs(60), caller).await.expect("in time").expect("no panic");
    }
    assert!(!is_silent(&link));
}

#[tokio::test]
async fn calls_fail_at_once_while_redis_is_known_to_be_away() {
    let mut redis = Redis::start().await;
    let link = redis.link();
    count(&link).await.expect("an answer");
    redis.kill();
    until("it is known to be away", async || {
        let _ = count(&link).await;
        is_silent(&link)
    })
    .await;
    let proxy = Proxy::before(redis.folder());
    // On paused time a call that waited for anything would move the clock.
    let link = Arc::new(self::link(&proxy.url()));
    let error = count(&link).await.expect_err("no Redis behind it");
    assert!(error.is_transient(), "{error:?}");
    tokio::time::pause();
    let before = (Instant::now(), proxy.accepted());
    let (one, other) = tokio::join!(count(&link), count(&link));
    assert!(one.is_err() && other.is_err());
    assert_eq!((Instant::now(), proxy.accepted()), before);
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    let (one, other) = tokio::join!(count(&link), count(&link));
    assert!(one.is_err() && other.is_err());
    assert_eq!(proxy.accepted(), before.1 + 1, "one dials for all");
}

#[tokio::test]
async fn a_connection_that_redis_closes_is_replaced_without_an_outage() {
    let redis = Redis::start().await;
    let link = redis.link();
    for round in 0..5 {
        until("the call comes through", async || count(&link).await.is_ok()).await;
        let named = "bull:scan-jobs:w:test";
        let clients: String = command(&redis, &["CLIENT", "LIST"]).await;
        let id = clients.lines().find(|line| line.contains(named)).expect("our connection, by its name");
        let id = id.split(' ').next().and_then(|id| id.strip_prefix("id=")).expect("its id");
        command::<i64>(&redis, &["CLIENT", "KILL", "ID", id]).await;
        assert!(!is_silent(&link), "round {round}");
    }
    until("the call comes through", async || count(&link).await.is_ok()).await;
}

#[tokio::test]
async fn a_connection_that_swallows_everything_is_given_up_at_the_deadline() {
    let redis = Redis::start().await;
    let proxy = Proxy::before(redis.folder());
    let link = link(&proxy.url());
    count(&link).await.expect("an answer");
    proxy.swallow(true);
    tokio::time::pause();
    let start = Instant::now();
    let error = count(&link).await.expect_err("nothing comes back");
    assert!(matches!(error, RedisError::Unavailable { source: None }), "{error:?}");
    assert!(start.elapsed() >= DEADLINE);
    let error = count(&link).await.expect_err("nothing comes back over a new one either");
    assert!(error.is_transient() && is_silent(&link), "{error:?}");
    tokio::time::resume();
    proxy.swallow(false);
    until("it is found again", async || count(&link).await.is_ok()).await;
    assert!(!is_silent(&link));
}

#[tokio::test]
async fn an_answer_of_another_kind_costs_the_connection_and_says_nothing_of_the_payload() {
    let redis = Redis::start().await;
    let proxy = Proxy::before(redis.folder());
    let link = link(&proxy.url());
    let error = link.run::<u64>(&LIST, &[]).await.expect_err("no number");
    assert_eq!(error.to_string(), "Redis answers list with an array of 2");
    assert!(!error.is_transient());
    count(&link).await.expect("an answer over a new connection");
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn a_user_with_the_rights_of_the_queue_alone_is_enough_and_no_error_shows_a_password() {
    let redis = Redis::start().await;
    let user = ["ACL", "SETUSER", "scanner", "on", ">hunter2/", "~bull:*", "+@all", "-@admin", "-@dangerous"];
    command::<String>(&redis, &user).await;
    let socket = redis.folder().join("redis.sock");
    let url = |user: &str, password: &str| format!("unix://{}?user={user}&pass={password}", socket.display());
    let link = link(&url("scanner", "hunter2%2F"));
    count(&link).await.expect("an answer");
    let facts = link.check().await.expect("what it may read is enough");
    assert_eq!((facts.version, facts.save), (None, None));
    assert!(!is_silent(&link), "what it may not read is no outage");
    for (user, password) in [("scanner", "hunter3"), ("nobody", "hunter3")] {
        let link = self::link(&url(user, password));
        let error = count(&link).await.expect_err("a wrong password");
        assert!(matches!(error, RedisError::Denied { .. }) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("queue.redis_password"), "{error}");
        assert!(!format!("{error:?} {error} {}", error.one_line()).contains("hunter"), "{error:?}");
        assert!(matches!(self::link(&url(user, password)).check().await, Err(RedisError::Denied { .. })));
    }
    // A user who may not write the queue's keys.
    command::<String>(&redis, &["ACL", "SETUSER", "guest", "on", ">hunter2", "~other:*", "+@all"]).await;
    let error = count(&self::link(&url("guest", "hunter2"))).await.expect_err("no rights");
    assert!(matches!(error, RedisError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("ACL SETUSER"), "{error}");
}

#[tokio::test]
async fn a_password_that_is_missing_or_not_wanted_is_told_as_that() {
    let redis = Redis::start().await;
    let url = format!("{}?pass=hunter2", redis.url());
    let error = count(&link(&url)).await.expect_err("it has no password");
    assert!(error.to_string().contains("leave queue.redis_password empty"), "{error}");
    command::<String>(&redis, &["CONFIG", "SET", "requirepass", "hunter2"]).await;
    count(&link(&url)).await.expect("an answer");
    let error = count(&link(&redis.url())).await.expect_err("it wants a password");
    assert!(error.to_string().contains("set queue.redis_password"), "{error}");
}

#[tokio::test]
async fn the_number_of_the_database_is_kept_to() {
    let redis = Redis::start().await;
    let link = link(&format!("{}?db=3", redis.url()));
    count(&link).await.expect("an answer");
    let space: String = command(&redis, &["INFO", "keyspace"]).await;
    assert!(space.contains("db3:keys=1") && !space.contains("db0"), "{space}");
    let error = count(&self::link(&format!("{}?db=99", redis.url()))).await.expect_err("no such database");
    assert!(!error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn the_probe_changes_nothing() {
    let redis = Redis::start().await;
    let link = redis.link();
    link.probe().await.expect("an answer");
    assert_eq!(command::<i64>(&redis, &["DBSIZE"]).await, 0);
    command::<String>(&redis, &["SET", "bull:scan-jobs:stalled-check", "17", "PX", "60000"]).await;
    link.probe().await.expect("an answer");
    assert_eq!(command::<String>(&redis, &["GET", "bull:scan-jobs:stalled-check"]).await, "17");
    assert!(command::<i64>(&redis, &["PTTL", "bull:scan-jobs:stalled-check"]).await > 0);
}

#[tokio::test]
async fn a_full_redis_is_waited_for() {
    let redis = Redis::start().await;
    let link = redis.link();
    count(&link).await.expect("an answer");
    command::<String>(&redis, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = count(&link).await.expect_err("no room");
    assert!(error.is_transient() && is_silent(&link), "{error:?}");
    assert_eq!(error.to_string(), "Redis has reached its maxmemory");
    command::<String>(&redis, &["CONFIG", "SET", "maxmemory", "0"]).await;
    until("there is room again", async || count(&link).await.is_ok()).await;
    assert!(!is_silent(&link));
}

#[tokio::test]
async fn a_redis_that_loads_its_data_is_waited_for() {
    let mut redis = Redis::start().await;
    let fill = "for n = 1, 4000 do redis.call('SET', n, string.rep('x', 400)) end";
    command::<Value>(&redis, &["EVAL", fill, "0"]).await;
    command::<String>(&redis, &["SAVE"]).await;
    redis.kill();
    let slowly = ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"];
    redis.start_again(&slowly);
    let link = redis.link();
    until("it says that it loads", async || {
        count(&link).await.is_err_and(|error| error.to_string() == "Redis is loading its data")
    })
    .await;
    assert!(is_silent(&link));
    until("it has loaded", async || count(&link).await.is_ok()).await;
    assert!(!is_silent(&link));
}

fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        // The cluster's own port is 10,000 above.
        if port < 55_000 {
            return port;
        }
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_that_holds_all_slots_is_one_like_any_other() {
    let port = free_port().to_string();
    let redis =
        Redis::start_with(&["--bind", "127.0.0.1", "--port", &port, "--cluster-enabled", "yes"]).await;
    let tagged = Keys::new("{bull}", "scan-jobs");
    let config = RedisConfig { url: format!("redis://127.0.0.1:{port}"), name: "w1".to_owned() };
    let link = Link::new(&config, tagged).expect("an address");
    let error = count(&link).await.expect_err("no slots");
    assert!(error.is_transient(), "{error:?}");
    command::<String>(&redis, &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    until("the cluster is up", async || count(&link).await.is_ok()).await;
    assert!(command::<i64>(&redis, &["EXISTS", "{bull}:scan-jobs:n"]).await == 1);
}

/// An authority, and a Redis behind a certificate of it.
async fn encrypted() -> (Redis, u16, ClientConfig) {
    let port = free_port();
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &authority).expect("a certificate");
    let folder = std::env::temp_dir().join(format!("safeurl-redis-tls-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).expect("a folder");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let (certificate, key) = (write("cert", leaf.pem()), write("key", key.serialize_pem()));
    let port_text = port.to_string();
    let redis = Redis::start_with(&[
        "--bind",
        "127.0.0.1",
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ])
    .await;
    std::fs::remove_dir_all(&folder).expect("it has read them");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let believing = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let believing = believing.expect("versions").with_root_certificates(roots).with_no_client_auth();
    (redis, port, believing)
}

#[tokio::test]
async fn an_encrypted_connection_is_made_to_whom_the_certificate_names_and_to_nobody_else() {
    let (_redis, port, believing) = encrypted().await;
    let config = |host: &str| RedisConfig { url: format!("rediss://{host}:{port}"), name: "w1".to_owned() };
    let link = Link::believing(&config("127.0.0.1"), keys(), || believing.clone()).expect("an address");
    count(&link).await.expect("an answer");
    let wrong_name = Link::believing(&config("localhost"), keys(), || believing.clone()).expect("an address");
    let unknown = Link::new(&config("127.0.0.1"), keys()).expect("an address");
    for link in [wrong_name, unknown] {
        let error = count(&link).await.expect_err("a certificate that is not believed");
        assert!(matches!(error, RedisError::Denied { .. }), "{error:?}");
        assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    }
    let plain = self::link(&format!("redis://127.0.0.1:{port}"));
    assert!(count(&plain).await.is_err());
}

#[test]
fn an_address_that_cannot_be_read_is_refused_without_being_repeated() {
    for url in
        ["redis://", "rediss://:hunter2@h/#insecure", "http://:hunter2@h", "redis://:hunter2@h/x", "unix://"]
    {
        let config = RedisConfig { url: url.to_owned(), name: "w1".to_owned() };
        let error = Link::new(&config, keys()).err().unwrap_or_else(|| panic!("accepted {url}"));
        assert!(matches!(error, RedisError::Address { .. }), "{url}: {error:?}");
        assert!(!format!("{error:?} {}", error.one_line()).contains("hunter2"), "{error:?}");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn the_check_tells_what_the_server_is_and_keeps() {
    let redis = Redis::start().await;
    let facts = redis.link().check().await.expect("an answer");
    assert!(facts.version.as_deref().is_some_and(|version| version.contains('.')), "{facts:?}");
    assert_eq!(facts.eviction.as_deref(), Some("noeviction"));
    assert_eq!((facts.log, facts.save.as_deref()), (Some(false), Some("")));
    assert!(facts.told()[0].text.contains("loses the whole queue"), "{:?}", facts.told());
    command::<String>(&redis, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    command::<String>(&redis, &["CONFIG", "SET", "appendonly", "yes"]).await;
    let told = redis.link().check().await.expect("an answer").told();
    assert!(told[0].text.contains("appendfsync everysec"), "{told:?}");
    assert!(told[1].warning && told[1].text.contains("allkeys-lru"), "{told:?}");
}
