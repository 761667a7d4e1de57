//! The flags that are settings.
//!
//! A flag is text for the setting it names; what it may be is checked where all settings are, so that a wrong flag is
//! told like a wrong line in a file.

use std::path::PathBuf;

use crate::config::{ConfigError, Flag, Origins, Settings, Sources};

/// The settings people change often; everything else is in the file and the environment.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    #[command(flatten)]
    pub store: StoreArgs,

    /// Scans at once
    #[arg(long, value_name = "N")]
    pub concurrency: Option<String>,

    /// Time for one scan, at least 2s
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,

    /// Memory of one container, such as 512MiB
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,

    /// Processor share of one container in cores
    #[arg(long, value_name = "CORES")]
    pub cpus: Option<String>,

    /// Network of the containers: none or bridge
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,

    /// OCI runtime of the containers, such as runsc
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,

    /// The fetcher's image, instead of the one in this program
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,

    /// Header for the submitted origin; may be given again
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,

    /// Value of the User-Agent header
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,

    /// Network that may be reached although the address rules deny it; may be given again
    #[arg(long = "allow-net", value_name = "NETWORK")]
    pub allow_nets: Vec<String>,
}

/// Which settings and which database, for the commands that need no more.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct StoreArgs {
    /// Configuration file, instead of ./safeurl.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where jobs and results are kept, such as file:./local.db
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

impl SettingsArgs {
    /// Reads all settings, these flags on top.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(&self) -> Result<(Settings, Origins), ConfigError> {
        Settings::load(&Sources::of_process(self.store.config.as_deref(), self.flags())?)
    }

    fn flags(&self) -> Vec<Flag> {
        let single = [
            ("database.url", "--database", &self.store.database),
            ("worker.concurrency", "--concurrency", &self.concurrency),
            ("sandbox.timeout", "--timeout", &self.timeout),
            ("sandbox.memory", "--memory", &self.memory),
            ("sandbox.cpus", "--cpus", &self.cpus),
            ("sandbox.network", "--network", &self.network),
            ("sandbox.runtime", "--runtime", &self.runtime),
            ("sandbox.image", "--image", &self.image),
            ("fetch.user_agent", "--user-agent", &self.user_agent),
        ];
        let single = single.into_iter().filter_map(|(key, flag, text)| Some((key, flag, text.as_ref()?)));
        let headers = self.headers.iter().map(|text| ("fetch.headers", "--header", text));
        let networks = self.allow_nets.iter().map(|text| ("gateway.allow_networks", "--allow-net", text));
        let all = single.chain(headers).chain(networks);
        all.map(|(key, flag, text)| Flag { key, flag, text: text.clone() }).collect()
    }
}

impl StoreArgs {
    /// Reads all settings, these flags on top.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(&self) -> Result<(Settings, Origins), ConfigError> {
        SettingsArgs { store: self.clone(), ..SettingsArgs::default() }.load()
    }
}
