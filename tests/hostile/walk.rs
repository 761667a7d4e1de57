//! What /proc and /sys show to a container: no secret, and of the host only what any container of Docker sees.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use safeurl::sandbox::SandboxConfig;

use crate::cell::{Cell, Change, Left, config, host, ordinary, strict};
use crate::claims::{obedient, page};
use crate::stage::Stage;

const LONG: Duration = Duration::from_secs(120);

/// A process of the host with secrets in its arguments and its environment.
struct Neighbour(Child);

impl Neighbour {
    fn start(argument: &str, variable: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", "read line", argument])
            .env("SAFEURL_DATABASE_AUTH_TOKEN", variable)
            .stdin(Stdio::piped())
            .spawn();
        Self(child.expect("a shell"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Walked {
    left: Left,
}

impl Walked {
    /// Walks with marks: an argument and a variable of a process of the host, the engine's socket, the folder of the
    /// door on the host.
    async fn through(change: Change) -> Self {
        let [argument, variable] = [(); 2].map(|()| format!("mark-{}", uuid::Uuid::new_v4().simple()));
        let _neighbour = Neighbour::start(&argument, &variable);
        // Reading all of it takes longer than the other acts.
        let patient = SandboxConfig { timeout: LONG, ..config().await };
        let cell = Cell::with(patient, change).await.expect("the engine creates");
        let marks = [argument, variable, "docker.sock".to_owned(), cell.door_on_the_host()];
        let steps = format!("walk {}|exit 0", hex(&marks));
        let left = cell.run(&steps, LONG).await.expect("it runs");
        assert_eq!(left.fact("walked"), "yes");
        Self { left }
    }

    fn of(&self, what: &str) -> BTreeSet<&str> {
        self.left.err.lines().filter_map(|line| line.strip_prefix(what)?.strip_prefix('=')).collect()
    }
}

/// What is looked for stands in the memory of the container alone, and not even there like this.
fn hex(marks: &[String]) -> String {
    let hex = |mark: &String| mark.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    marks.iter().map(hex).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn proc_and_sys_show_no_secret_and_of_the_host_only_what_docker_always_shows() {
    let walked = Walked::through(strict).await;
    for secret in ["mark 0", "mark 1", "mark 2"] {
        assert_eq!(walked.of(secret), BTreeSet::new(), "{secret}");
    }
    // Where a mount comes from is in the table of mounts, of every container.
    assert_eq!(walked.of("mark 3"), ["/proc/<pid>/mountinfo", "/proc/<pid>/task"].into());
    let listed = listed();
    let strange: Vec<_> = walked
        .of("readable")
        .into_iter()
        .filter(|path| !listed.iter().any(|listed| fits(path, listed)))
        .collect();
    assert_eq!(strange, Vec::<&str>::new());

    // With the processes of the host in sight, their arguments are: the walk would have found them.
    let loose = Walked::through(|spec| host(spec).pid_mode = Some("host".to_owned())).await;
    assert!(loose.of("mark 0").contains("/proc/<pid>/cmdline"), "{:?}", loose.of("mark 0"));
    assert_eq!(loose.of("mark 1"), BTreeSet::new(), "the environment of another user stays closed");
}

#[tokio::test]
async fn proc_and_sys_show_no_more_than_they_do_to_an_ordinary_container() {
    // What comes while they are read, a file system of somebody else, say, is there before or after.
    let before = Walked::through(ordinary).await;
    let held = Walked::through(strict).await;
    let after = Walked::through(ordinary).await;
    for what in ["readable", "file"] {
        let ordinary: BTreeSet<_> = before.of(what).union(&after.of(what)).copied().collect();
        assert!(ordinary.len() > 50, "{what}: {ordinary:?}");
        assert_eq!(held.of(what).difference(&ordinary).collect::<Vec<_>>(), Vec::<&&str>::new(), "{what}");
    }
    // Without its masks Docker shows more, and the walk would have told.
    let unmasked = Walked::through(|spec| host(spec).masked_paths = Some(vec![])).await;
    let more: Vec<_> = unmasked.of("readable").difference(&held.of("readable")).copied().collect();
    assert!(more.contains(&"/proc/keys"), "{more:?}");
}

#[test]
fn a_job_finds_no_secret_and_no_place_of_its_worker_but_that_of_the_door() {
    let [token, password, variable, folder] =
        [(); 4].map(|()| format!("mark-{}", uuid::Uuid::new_v4().simple()));
    let stage = Stage::new()
        .with("SAFEURL_SANDBOX_IMAGE", obedient())
        .with("SAFEURL_SANDBOX_TIMEOUT", "110s")
        .with("SAFEURL_SANDBOX_MEMORY", "64MiB")
        .with("SAFEURL_RETRY_MAX_ATTEMPTS", "1")
        .with("SAFEURL_DATABASE_AUTH_TOKEN", token.as_str())
        .with("SAFEURL_QUEUE_REDIS_PASSWORD", password.as_str())
        .with("SOMEBODY_S_API_KEY", variable.as_str());
    let database = stage.dir.join(&folder);
    std::fs::create_dir(&database).expect("a new folder");
    let door = stage.dir.join("run").display().to_string();
    let stage = stage.with_database_in(&database);
    let own = "HOSTNAME=fetcher".to_owned();
    let marks = [token, password, variable, folder, "docker.sock".to_owned(), door, own];
    let search = format!("search {}", hex(&marks));
    let ran = stage.run(["scan", "--json", &page(&[&search, "exit 3"])]);
    let told = stage.query("SELECT stderr FROM attempts");
    let told = &told.first().unwrap_or_else(|| panic!("no attempt: {ran:?}"))[0];
    // The door's place is found, as the table of mounts names it, and a variable of the container's own, where one of the
    // worker's would be; of all else there is nothing.
    let expected = [
        "mark 5=/proc/<pid>/mountinfo",
        "mark 5=/proc/<pid>/task",
        "mark 6=/proc/<pid>/environ",
        "mark 6=/proc/<pid>/task",
        "searched=yes",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{ran:?}");
}

fn fits(path: &str, shown: &str) -> bool {
    match shown.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == shown,
    }
}

/// Everything that can be read there, as the README lists it. A kernel may have less of it; more is a decision.
fn listed() -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    let rows = readme.lines().skip_while(|line| !line.starts_with("| every container reads |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with("| "));
    let listed: Vec<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(listed.len() > 50, "{listed:?}");
    listed
}
