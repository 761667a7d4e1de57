//! The flags that are settings.
//!
//! A flag is text for the setting it names; what it may be is checked where all settings are, so that a wrong flag is
//! told like a wrong line in a file.

use std::path::PathBuf;

use crate::config::{ConfigError, Flag, Origins, Settings, Sources};
use crate::domain::scan::Options;

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

    /// Redirects to follow
    #[arg(long, value_name = "N")]
    pub max_redirects: Option<String>,

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

/// What a scan asks for by itself, wherever it is run.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct JobArgs {
    /// Label to find it by; may be given again
    #[arg(long = "tag", value_name = "TEXT", value_parser = tag)]
    pub tags: Vec<String>,

    /// Keep to the site's robots.txt, and end with robots_disallowed where it refuses
    #[arg(long)]
    pub respect_robots: bool,
}

/// What goes with a job to a worker that has settings of its own.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RequestArgs {
    #[command(flatten)]
    pub job: JobArgs,

    /// Time for each scan, such as 10s; the worker's own limit still holds
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,

    /// Redirects to follow; the worker's own limit still holds
    #[arg(long, value_name = "N")]
    pub max_redirects: Option<String>,

    /// Header for the submitted origin; may be given again
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,

    /// Value of the User-Agent header
    #[arg(long, value_name = "TEXT")]
    pub user_agent: Option<String>,
}

/// The longest tag. It is a word to find scans by, and stands in tables.
const MAX_TAG_CHARS: usize = 100;

fn tag(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a tag is visible text".to_owned());
    }
    if text.chars().count() > MAX_TAG_CHARS {
        return Err(format!("a tag has at most {MAX_TAG_CHARS} characters"));
    }
    Ok(text.to_owned())
}

impl JobArgs {
    /// As the row has them.
    pub fn options(&self) -> Options {
        Options { tags: self.tags.clone(), respect_robots: self.respect_robots, ..Options::default() }
    }
}

impl RequestArgs {
    /// As the row has them. What a value may be is checked like the setting that it stands in for.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn options(&self) -> Result<Options, ConfigError> {
        let flag = |key, flag, text: &String| Flag { key, flag, text: text.clone() };
        let timeout = self.timeout.iter().map(|text| flag("sandbox.timeout", "--timeout", text));
        let redirects =
            self.max_redirects.iter().map(|text| flag("fetch.max_redirects", "--max-redirects", text));
        let agent = self.user_agent.iter().map(|text| flag("fetch.user_agent", "--user-agent", text));
        let headers = self.headers.iter().map(|text| flag("fetch.headers", "--header", text));
        let flags = timeout.chain(redirects).chain(agent).chain(headers).collect();
        // Nothing but the flags: what this machine is configured to is no wish of the job.
        let (read, _) = Settings::load(&Sources { flags, ..Sources::default() })?;
        let millis = u64::try_from(read.sandbox.timeout.as_millis()).unwrap_or(u64::MAX);
        Ok(Options {
            user_agent: self.user_agent.as_ref().map(|_| read.fetch.user_agent),
            timeout_ms: self.timeout.as_ref().map(|_| millis),
            max_redirects: self.max_redirects.as_ref().map(|_| read.fetch.max_redirects),
            headers: read.fetch.headers,
            ..self.job.options()
        })
    }
}

impl SettingsArgs {
    /// Reads all settings, these flags on top.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(&self) -> Result<(Settings, Origins), ConfigError> {
        self.load_with([])
    }

    /// The same with flags that only one command has.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load_with(
        &self,
        more: impl IntoIterator<Item = Flag>,
    ) -> Result<(Settings, Origins), ConfigError> {
        let flags = self.flags().into_iter().chain(more).collect();
        Settings::load(&Sources::of_process(self.store.config.as_deref(), flags)?)
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
            ("fetch.max_redirects", "--max-redirects", &self.max_redirects),
            ("fetch.user_agent", "--user-agent", &self.user_agent),
        ];
        let single = single.into_iter().filter_map(|(key, flag, text)| Some((key, flag, text.as_ref()?)));
        let headers = self.headers.iter().map(|text| ("fetch.headers", "--header", text));
        let networks = self.allow_nets.iter().map(|text| ("gateway.allow_networks", "--allow-net", text));
        let all = single.chain(headers).chain(networks);
        all.map(|(key, flag, text)| Flag { key, flag, text: text.clone() }).collect()
    }
}

/// Which settings and which image, for the commands around the image.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct ImageArgs {
    /// Configuration file, instead of ./safeurl.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The fetcher's image, instead of the one in this program
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,
}

/// What the doctor looks at.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct DoctorArgs {
    #[command(flatten)]
    pub store: StoreArgs,

    /// OCI runtime of the containers, such as runsc
    #[arg(long, value_name = "NAME")]
    pub runtime: Option<String>,

    /// The fetcher's image, instead of the one in this program
    #[arg(long, value_name = "REFERENCE")]
    pub image: Option<String>,
}

/// Which settings and which networks, for the address rules.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct EgressArgs {
    /// Configuration file, instead of ./safeurl.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Network that may be reached although the address rules deny it; may be given again
    #[arg(long = "allow-net", value_name = "NETWORK")]
    pub allow_nets: Vec<String>,
}

/// Which settings, for the commands that need no more.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct ConfigArgs {
    /// Configuration file, instead of ./safeurl.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// All settings, these flags on top of the file and the environment.
fn with(config: Option<&PathBuf>, flags: SettingsArgs) -> Result<(Settings, Origins), ConfigError> {
    let store = StoreArgs { config: config.cloned(), ..flags.store };
    SettingsArgs { store, ..flags }.load()
}

impl ImageArgs {
    /// Reads all settings, these flags on top.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(&self) -> Result<(Settings, Origins), ConfigError> {
        with(self.config.as_ref(), SettingsArgs { image: self.image.clone(), ..SettingsArgs::default() })
    }
}

impl DoctorArgs {
    /// Reads all settings, these flags on top.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(&self) -> Result<(Settings, Origins), ConfigError> {
        let flags = SettingsArgs {
            store: self.store.clone(),
            runtime: self.runtime.clone(),
            image: self.image.clone(),
            ..SettingsArgs::default()
        };
        with(self.store.config.as_ref(), flags)
    }
}

impl EgressArgs {
    /// Reads all settings, these flags on top.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(&self) -> Result<(Settings, Origins), ConfigError> {
        let flags = SettingsArgs { allow_nets: self.allow_nets.clone(), ..SettingsArgs::default() };
        with(self.config.as_ref(), flags)
    }
}

impl ConfigArgs {
    /// Reads all settings.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn load(&self) -> Result<(Settings, Origins), ConfigError> {
        with(self.config.as_ref(), SettingsArgs::default())
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
