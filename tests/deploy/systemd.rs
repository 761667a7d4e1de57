//! A systemd of a test's own with the unit in it, and commands run beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::folder::{Folder, of_repository, text_of};

pub(crate) const UNIT: &str = "safeurl-worker.service";

/// Ends with everything that runs in it.
pub(crate) struct Systemd {
    pub(crate) folder: Folder,
    /// Where the unit's sockets are, outside as inside.
    pub(crate) run_dir: PathBuf,
    boot: Child,
}

impl Systemd {
    /// Boots it and waits for the unit's worker to take jobs.
    pub(crate) fn boot() -> Self {
        let folder = Folder::new();
        // A service that is really installed here, or another test, has the folder of the unit's own name.
        let runtime = format!("safeurl-{}", folder.tag);
        let unit = text_of(&format!("config/deploy/{UNIT}"));
        let unit = unit
            .replace("RuntimeDirectory=safeurl-worker", &format!("RuntimeDirectory={runtime}"))
            .replace("/run/safeurl-worker", &format!("/run/{runtime}"));
        folder.write(UNIT, &unit);
        folder.write("worker.env", "SAFEURL_GATEWAY_ALLOW_NETWORKS=127.0.0.1/32\n");
        let log = fs::File::create(folder.path.join("boot.log")).expect("a log file");
        let boot = Command::new(of_repository("tests/support/own-systemd.sh"))
            .arg(&folder.path)
            .args([env!("CARGO_BIN_EXE_safeurl"), UNIT])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .spawn()
            .expect("the script starts");
        let mut systemd = Self { run_dir: PathBuf::from("/run").join(runtime), folder, boot };
        systemd
            .wait_for("the worker takes jobs", |own| own.folder.read("worker.log").contains("taking jobs"));
        systemd
    }

    /// Waits until something holds, or says what the logs have.
    pub(crate) fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            let ended = self.boot.try_wait().expect("a child of ours");
            let logs = [self.folder.read("boot.log"), self.folder.read("worker.log")].concat();
            assert!(ended.is_none() && Instant::now() < until, "not so: {what}\n{logs}");
            sleep(Duration::from_millis(100));
        }
    }

    /// Runs `systemctl` inside and gives its output.
    pub(crate) fn systemctl(&self, arguments: &[&str]) -> String {
        text(self.inside().arg("systemctl").args(arguments).output().expect("nsenter runs"))
    }

    /// Runs the program as a person would by hand: as the unit's user, on its database.
    pub(crate) fn safeurl(&self, arguments: &[&str]) -> String {
        let mut command = self.inside();
        command.args(["setpriv", "--reuid=safeurl", "--regid=safeurl", "--init-groups", "env"]);
        command.args(["SAFEURL_DATABASE_URL=file:/var/lib/safeurl/scans.db", "/usr/local/bin/safeurl"]);
        text(command.args(arguments).output().expect("nsenter runs"))
    }

    /// The state of the only job.
    pub(crate) fn state(&self) -> String {
        let list = self.safeurl(&["jobs", "list", "--json"]);
        let job: serde_json::Value = serde_json::from_str(list.trim()).expect("one JSON document");
        job["state"].as_str().expect("a state").to_owned()
    }

    /// Processes of the program by their first argument, as this machine numbers them.
    pub(crate) fn processes(&self, command: &str) -> Vec<u32> {
        // The gateway is started by the name of the program alone.
        let lines = ["/usr/local/bin/safeurl", "safeurl"].map(|name| format!("{name}\0{command}\0"));
        let mine = format!("/proc/{}/ns/pid", self.init());
        let mine = fs::read_link(mine).expect("it runs");
        let processes = fs::read_dir("/proc").expect("a process table").flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers
            .filter(|pid: &u32| {
                let of = |file: &str| PathBuf::from(format!("/proc/{pid}/{file}"));
                fs::read_to_string(of("cmdline")).is_ok_and(|found| lines.contains(&found))
                    && fs::read_link(of("ns/pid")).is_ok_and(|found| found == mine)
            })
            .collect()
    }

    /// The first process inside.
    fn init(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.boot.id());
        let children = fs::read_to_string(children).expect("it runs");
        children.split_whitespace().next().expect("one child").parse().expect("a number")
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init().to_string()]);
        command.args(["--pid", "--mount", "--ipc", "--uts", "--cgroup", "--root", "--wdns=/"]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.boot.kill();
        let _ = self.boot.wait();
        let _ = fs::remove_dir_all(&self.run_dir);
        let groups = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup"].map(Path::new);
        let name = self.folder.path.file_name().expect("a folder's name");
        // The kernel lets go of a group a moment after its last process.
        for _ in 0..50 {
            let left: Vec<_> =
                groups.iter().map(|base| base.join(name)).filter(|group| group.exists()).collect();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(|group| remove_group(group));
            sleep(Duration::from_millis(100));
        }
    }
}

/// A control group goes when those in it have gone.
fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
