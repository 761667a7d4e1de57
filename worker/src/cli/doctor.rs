//! `safeurl doctor`: what is needed, tried out.

mod walls;

use serde::Serialize;

use super::assemble;
use super::exit::Exit;
use super::image::engine;
use super::output::{Output, plain};
use super::problem;
use super::queue;
use super::settings::DoctorArgs;
use crate::config::Settings;
use crate::gateway::{Gateway, GatewayError};
use crate::sandbox::engine::EngineInfo;
use crate::sandbox::image::Image;
use crate::sandbox::{Attestation, Engine, image};
use crate::store::{DbError, OpenMode, Schema, Store, StoreError};

/// Check everything a scan needs, and say what to do about what is missing
///
/// One container is made and tries its walls from the inside; each restriction is shown with what came of it. Ends with
/// 1 when a check failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl doctor
  safeurl doctor --json | jq '.checks[] | select(.ok | not)'
  safeurl doctor --attestation $(safeurl jobs show --json ID | jq -r .sandbox.attestation)")]
pub struct Args {
    /// One compact JSON document: {"checks": [{"name", "ok", "tried", "saw", "hint"}], "attestation"}
    #[arg(long)]
    pub json: bool,

    /// Check nothing; show what containers were like when a document was made that names this digest
    #[arg(long, value_name = "DIGEST")]
    pub attestation: Option<String>,

    #[command(flatten)]
    pub settings: DoctorArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    checks: &'a [Check],
    attestation: Option<Attested<'a>>,
}

/// What a probe saw, with the digest that documents name it by.
#[derive(Serialize)]
struct Attested<'a> {
    digest: String,
    #[serde(flatten)]
    attestation: &'a Attestation,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    tried: String,
    saw: String,
    hint: Option<String>,
}

impl Check {
    fn passed(name: &'static str, tried: impl Into<String>, saw: impl Into<String>) -> Self {
        Self { name, ok: true, tried: tried.into(), saw: saw.into(), hint: None }
    }

    /// One that needs an engine while none answers.
    fn not_tried(name: &'static str) -> Self {
        let hint = Some("once the engine answers, run `safeurl doctor` again".to_owned());
        Self {
            name,
            ok: false,
            tried: "ask the engine".to_owned(),
            saw: "not tried: it does not answer".to_owned(),
            hint,
        }
    }

    fn failed(
        name: &'static str,
        tried: impl Into<String>,
        saw: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { name, ok: false, tried: tried.into(), saw: saw.into(), hint: Some(hint.into()) }
    }
}

/// Runs it.
///
/// # Errors
/// Whatever is wrong with the settings. What is wrong with the rest is the report.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    if let Some(digest) = &args.attestation {
        walls::show(&settings, digest, args.json).await?;
        return Ok(Exit::Done);
    }
    let engine = engine(&settings);
    let mut checks = vec![answers(&engine).await];
    let well = checks[0].ok;
    match if well { engine.info().await.map(Some) } else { Ok(None) } {
        Ok(Some(info)) => checks.extend([limits(&info), seccomp(&info), runtime(&settings, &info)]),
        Ok(None) => checks.extend(["limits", "seccomp", "runtime"].map(Check::not_tried)),
        Err(error) => checks.push(Check::failed(
            "limits",
            "ask the engine what it can do",
            chain(&error),
            "look into its log",
        )),
    }
    let (image, check) =
        if well { fetcher(&settings, &engine).await } else { (None, Check::not_tried("image")) };
    checks.push(check);
    checks.push(rows(&settings).await);
    checks.extend(outer(&settings).await);
    let (gateway, check) = way_out(&settings).await;
    checks.push(check);
    // A container that the engine cannot make would only say the same in other words.
    let can_be_made = checks.iter().all(|check| check.ok || check.name != "runtime");
    let (check, attestation) = match (&image, &gateway) {
        (Some(image), Some(gateway)) if can_be_made => walls::probe(&settings, image, gateway).await,
        _ => (walls::not_tried(), None),
    };
    checks.push(check);
    if let Some(gateway) = gateway {
        gateway.shutdown().await;
    }
    let all_well = checks.iter().all(|check| check.ok);
    let mut output = Output::stdout();
    if args.json {
        let attestation = attestation.as_ref();
        let attestation =
            attestation.map(|attestation| Attested { digest: attestation.digest(), attestation });
        output.json(&Report { checks: &checks, attestation })?;
    } else {
        for check in &checks {
            let word = if check.ok { "ok    " } else { "FAILED" };
            output.line(&format!(
                "{word}  {:<9} {}: {}",
                check.name,
                plain(&check.tried),
                plain(&check.saw)
            ))?;
            if let Some(hint) = &check.hint {
                output.line(&format!("        hint: {}", plain(hint)))?;
            }
        }
        if let Some(attestation) = &attestation {
            walls::print(&mut output, attestation, &settings.sandbox.accept)?;
        }
    }
    Ok(if all_well { Exit::Done } else { Exit::Failed })
}

async fn answers(engine: &Engine) -> Check {
    let tried = format!("ask {} for its version", engine.host());
    match engine.version().await {
        Ok(version) => Check::passed("engine", tried, format!("{}, API {}", version.engine, version.api)),
        Err(error) => Check::failed(
            "engine",
            tried,
            chain(&error),
            "start it (`systemctl start docker`), be in its group, or name another by DOCKER_HOST",
        ),
    }
}

fn limits(info: &EngineInfo) -> Check {
    let tried = "ask whether memory, swap, processor and processes can be limited";
    if info.missing_limits.is_empty() {
        return Check::passed("limits", tried, format!("all of them, by {}", info.cgroup_driver));
    }
    let missing = info.missing_limits.join(", ");
    Check::failed(
        "limits",
        tried,
        format!("not: {missing}"),
        "the kernel needs these control groups, see `docker info`",
    )
}

fn seccomp(info: &EngineInfo) -> Check {
    let tried = "ask whether system calls can be filtered";
    if info.security_options.iter().any(|option| option.starts_with("name=seccomp")) {
        return Check::passed("seccomp", tried, info.security_options.join(", "));
    }
    Check::failed("seccomp", tried, "no seccomp", "use a kernel and an engine built with it")
}

fn runtime(settings: &Settings, info: &EngineInfo) -> Check {
    let wanted = settings.sandbox.runtime.as_ref().unwrap_or(&info.default_runtime);
    let tried = format!("look for the runtime {wanted}");
    let known = info.runtimes.join(", ");
    if info.runtimes.contains(wanted) {
        return Check::passed("runtime", tried, format!("the engine has {known}"));
    }
    let hint = format!("add it to the engine's daemon.json, or change sandbox.runtime{}", peculiar(wanted));
    Check::failed("runtime", tried, format!("the engine has {known} and not this one"), hint)
}

/// What a runtime needs that the default one does not.
fn peculiar(runtime: &str) -> &'static str {
    if runtime.contains("runsc") || runtime.contains("gvisor") {
        "; gVisor needs runtimeArgs [\"--host-uds=open\"] there, or no container reaches the gateway's socket"
    } else if runtime.contains("kata") {
        "; Kata's containers reach no unix socket of the host, so it needs sandbox.network = \"bridge\""
    } else if runtime.contains("crun") {
        "; crun refuses the hybrid layout of control groups, so it needs the first or the second generation alone"
    } else {
        ""
    }
}

async fn fetcher(settings: &Settings, engine: &Engine) -> (Option<Image>, Check) {
    let wanted = settings.sandbox.image.as_deref();
    let tried = format!("look at {}", wanted.unwrap_or("the embedded image"));
    match image::resolve(engine, wanted).await {
        Ok(image) => {
            let check = Check::passed("image", tried, format!("{} {}", image.reference, image.id));
            (Some(image), check)
        }
        Err(error) => {
            let hint =
                error.hint().map_or_else(|| "see the engine's log".to_owned(), |run| format!("run `{run}`"));
            (None, Check::failed("image", tried, chain(&error), hint))
        }
    }
}

/// Opens nothing that is not there: a doctor leaves no file behind.
async fn rows(settings: &Settings) -> Check {
    let tried = format!("open {}", settings.database.url);
    let mut is_remote = false;
    let schema = match Store::open(&assemble::database(settings), OpenMode::Existing).await {
        Ok(store) => {
            is_remote = store.path().is_none();
            store.schema().await
        }
        Err(error) => Err(error),
    };
    let migrate = "run `safeurl db migrate`";
    match schema {
        Ok(Schema::Empty) if is_remote => Check::failed("database", tried, "empty, on a server", migrate),
        Ok(Schema::Ours { version }) if is_remote && version < Store::SCHEMA => {
            let saw = format!("schema {version}, this program needs {}", Store::SCHEMA);
            Check::failed("database", tried, saw, migrate)
        }
        Ok(Schema::Ours { version }) => Check::passed("database", tried, format!("schema {version}")),
        Ok(Schema::Empty) => Check::passed("database", tried, "empty; the first use makes its tables"),
        Ok(Schema::Foreign) => {
            Check::failed("database", tried, "an existing installation's, not prepared yet", migrate)
        }
        Ok(Schema::Newer { version }) => {
            let saw = format!("schema {version}, this program knows {} at most", Store::SCHEMA);
            Check::failed("database", tried, saw, "use a newer safeurl")
        }
        Err(StoreError::Db(DbError::NotFound { path })) => match path.parent() {
            Some(folder) if !folder.is_dir() => {
                let saw = format!("there is no folder {}", folder.display());
                Check::failed("database", tried, saw, "make it, or name another database by --database")
            }
            _ => Check::passed("database", tried, "there is none yet; the first use makes it"),
        },
        Err(error) => {
            let error = anyhow::Error::from(error);
            let mend = problem::hint(&error);
            let mend = mend.unwrap_or_else(|| "mend it, or name another by --database".to_owned());
            Check::failed("database", tried, problem::one_line(&error), mend)
        }
    }
}

/// The queue in Redis, where there is one.
async fn outer(settings: &Settings) -> Option<Check> {
    let tried = format!("ask Redis for the queue {}:{}", settings.queue.prefix, settings.queue.name);
    let failed = |error: anyhow::Error| {
        let mend = problem::hint(&error).unwrap_or_else(|| "change the setting that it names".to_owned());
        Check::failed("queue", tried.clone(), problem::one_line(&error), mend)
    };
    let link = match queue::link(settings) {
        Ok(link) => link?,
        Err(error) => return Some(failed(error)),
    };
    let told = match link.check().await {
        Ok(facts) => facts.told(),
        Err(error) => return Some(failed(error.into())),
    };
    let texts =
        |warning| told.iter().filter(move |told| told.warning == warning).map(|told| told.text.as_str());
    let (saw, warnings) = (texts(false).collect::<Vec<_>>().join("; "), texts(true).collect::<Vec<_>>());
    Some(match warnings.as_slice() {
        [] => Check::passed("queue", tried, saw),
        warnings => Check::failed("queue", tried, saw, warnings.join("; ")),
    })
}

async fn way_out(settings: &Settings) -> (Option<Gateway>, Check) {
    let tried = format!("start the gateway with sockets under {}", settings.sandbox.run_dir.display());
    match Gateway::spawn(assemble::gateway(settings)).await {
        Ok(gateway) => (Some(gateway), Check::passed("gateway", tried, "it came up")),
        Err(error) => {
            let hint = match error {
                GatewayError::User { .. } => "change gateway.user, or leave it empty",
                _ => "change sandbox.run_dir or who may write there",
            };
            (None, Check::failed("gateway", tried, chain(&error), hint))
        }
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
