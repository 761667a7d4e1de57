//! Scans by containers that have a network card, on a bridge of the installation's own: nothing but the rules inside the
//! fetcher is between them and this machine.

use std::net::IpAddr;
use std::process::Command;

use crate::site::{Site, article};
use crate::stage::Stage;

/// The network of a stage's containers; removed with it, and before the stage.
struct Bridge(String);

impl Bridge {
    fn of(stage: &Stage) -> Self {
        let instance = stage.query("SELECT value FROM meta WHERE key = 'instance'").remove(0).remove(0);
        Self(format!("safeurl-{instance}"))
    }

    fn shown(&self, format: &str) -> String {
        let asked = ["network", "inspect", "--format", format, &self.0];
        let shown = Command::new("docker").args(asked).output().expect("the docker client");
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        String::from_utf8(shown.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // Failing that, a network without containers is left.
        let _ = Command::new("docker").args(["network", "rm", &self.0]).output();
    }
}

#[test]
fn a_doctor_of_no_installation_leaves_no_network() {
    let stage = Stage::new().with("SAFEURL_SANDBOX_NETWORK", "bridge");
    let ran = stage.run(["doctor", "--json"]);
    let walls = ran.json()[0]["checks"].as_array().cloned().unwrap_or_default();
    assert!(walls.iter().any(|check| check["name"] == "walls" && check["ok"] == true), "{ran:?}");
    let listed = Command::new("docker").args(["network", "ls", "--format", "{{.Name}}"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().any(|name| name == "none"), "{listed}");
    assert!(!listed.lines().any(|name| name == "safeurl-doctor"), "{listed}");
}

#[test]
fn over_a_bridge_the_fetcher_itself_refuses_this_machine_unless_the_settings_allow_it() {
    let stage = Stage::new().with("SAFEURL_SANDBOX_NETWORK", "bridge");
    assert_eq!(stage.run(["db", "migrate"]).code, Some(0));
    let bridge = Bridge::of(&stage);
    let first = stage.run(["scan", "http://127.0.0.2:9/", "--json"]);
    assert_eq!(first.json()[0]["job"]["failure"]["class"], "egress_denied", "{first:?}");
    assert_eq!(bridge.shown(r#"{{index .Options "com.docker.network.bridge.enable_icc"}}"#), "false");

    let host: IpAddr = bridge.shown("{{(index .IPAM.Config 0).Gateway}}").parse().expect("an address");
    let site = Site::start_at(host, |_| article("Behind the bridge"));
    let refused = stage.run(["scan", &site.url("/"), "--json"]);
    assert_eq!(refused.json()[0]["job"]["failure"]["class"], "egress_denied", "{refused:?}");
    assert_eq!(site.total(), 0);

    let allowed = stage.run(["scan", &site.url("/"), "--json", "--allow-net", &format!("{host}/32")]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    let document = &allowed.json()[0];
    assert_eq!((&document["page"]["title"], site.hits("/")), (&"Behind the bridge".into(), 1), "{document}");
    assert_eq!(document["sandbox"]["network"], "bridge");
    assert!(document["sandbox"]["attestation"].is_string(), "{document}");
}
