//! The image the containers are made from: found, checked, built.
//!
//! Owns what makes an image ours: two labels, the protocol it speaks and the SHA-256 of the fetcher inside. An
//! image without them is refused before any job is taken. The fetcher that this worker may carry is built
//! into an image through the engine's API from a tar archive in memory: no docker program, no file.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures_util::TryStreamExt;
use safeurl_protocol::PROTOCOL;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::SandboxError;
use super::engine::{CALL, Engine};
use super::output::hex;

/// Label: [`PROTOCOL`] of the fetcher inside.
pub const LABEL_PROTOCOL: &str = "safeurl.protocol";
/// Label: lower-case hex SHA-256 of the fetcher inside.
pub const LABEL_FETCHER: &str = "safeurl.fetcher";

/// Name of the images we build.
const REPOSITORY: &str = "safeurl-fetcher";

/// Where the Dockerfile expects the program, from the root of the build's context.
const STAGED_BINARY: &str = "staged-by-make-image/safeurl-fetcher";

/// Copying a few megabytes into one layer; minutes mean a hung engine.
const BUILD: Duration = Duration::from_secs(120);

/// An image that is on the engine and ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What it was found by.
    pub reference: String,
    /// The engine's id: `sha256:…`. Containers are made from this, so that a tag moved meanwhile changes
    /// nothing.
    pub id: String,
    /// Lower-case hex SHA-256 of the fetcher inside, as its label says.
    pub fetcher_sha256: String,
}

/// The fetcher inside this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    /// A static program.
    pub binary: &'static [u8],
    /// How it becomes an image.
    pub dockerfile: &'static str,
}

impl Embedded {
    /// Lower-case hex SHA-256 of the program.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(self.binary))
    }

    /// The tag of its image: another program is another image.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{REPOSITORY}:{}", &self.sha256()[..12])
    }

    /// The image built from it, when the engine has it.
    ///
    /// # Errors
    /// It is missing, something else has its name, or the engine cannot be asked.
    pub async fn find(&self, engine: &Engine) -> Result<Image, ImageError> {
        let image = find(engine, &self.reference()).await?;
        if image.fetcher_sha256 == self.sha256() {
            return Ok(image);
        }
        let reason = format!("it holds {}, not the fetcher this worker carries", image.fetcher_sha256);
        Err(ImageError::NotOurs { reference: image.reference, reason })
    }

    /// Builds its image, also when the engine has one.
    ///
    /// # Errors
    /// The engine cannot build it.
    pub async fn build(&self, engine: &Engine) -> Result<Image, ImageError> {
        build(engine, &self.reference(), self.dockerfile, self.binary).await?;
        self.find(engine).await
    }

    /// Writes it to a folder that `docker build` takes.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn stage(&self, folder: &Path) -> Result<(), ImageError> {
        let binary = folder.join(STAGED_BINARY);
        let below = binary.parent().unwrap_or(folder);
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| ImageError::Stage { path, source }
        };
        fs::create_dir_all(below).map_err(fail(below))?;
        fs::write(&binary, self.binary).map_err(fail(&binary))?;
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).map_err(fail(&binary))?;
        let dockerfile = folder.join("Dockerfile");
        fs::write(&dockerfile, self.dockerfile).map_err(fail(&dockerfile))
    }
}

/// Why there is no image to use.
#[derive(Debug, Error)]
pub enum ImageError {
    /// No image is named, and this worker was built without one.
    #[error("no fetcher image is named and this worker carries none")]
    NothingEmbedded,
    /// The engine does not have it.
    #[error("image {reference} is not on the container engine")]
    Missing {
        /// What was looked for.
        reference: String,
    },
    /// It lacks our labels: another program, such as that of an older installation.
    #[error("image {reference} is not a fetcher of this program: {reason}")]
    NotOurs {
        /// What was looked at.
        reference: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A fetcher of another release.
    #[error("image {reference} speaks protocol {found}, this worker speaks {PROTOCOL}")]
    WrongProtocol {
        /// What was looked at.
        reference: String,
        /// What it speaks.
        found: u32,
    },
    /// The engine could not build it.
    #[error("image {reference} could not be built: {message}")]
    Build {
        /// Its tag.
        reference: String,
        /// What the engine said.
        message: String,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Stage {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The engine cannot be asked.
    #[error(transparent)]
    Engine(#[from] SandboxError),
}

impl ImageError {
    /// The command that mends it, where one does.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } | Self::NotOurs { .. } | Self::WrongProtocol { .. } => {
                Some(if embedded().is_some() { "safeurl image build" } else { "make image" })
            }
            Self::NothingEmbedded => Some("make build"),
            Self::Build { .. } | Self::Stage { .. } | Self::Engine(_) => None,
        }
    }
}

/// The fetcher this worker carries; `None` when it was built without the feature `embed-fetcher`.
#[must_use]
pub fn embedded() -> Option<Embedded> {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"))
}

/// The image named by `reference`, else the one of the embedded fetcher, checked for what makes it ours.
///
/// # Errors
/// It is missing, not ours, speaks another protocol, or the engine cannot be asked.
pub async fn resolve(engine: &Engine, reference: Option<&str>) -> Result<Image, ImageError> {
    match (reference, embedded()) {
        (Some(reference), _) => find(engine, reference).await,
        (None, Some(embedded)) => embedded.find(engine).await,
        (None, None) => Err(ImageError::NothingEmbedded),
    }
}

/// Builds the image of the embedded fetcher, also when it is there already.
///
/// # Errors
/// Nothing is embedded, or the engine cannot build it.
pub async fn build_embedded(engine: &Engine) -> Result<Image, ImageError> {
    embedded().ok_or(ImageError::NothingEmbedded)?.build(engine).await
}

/// Writes the embedded fetcher and its Dockerfile to a folder that `docker build` takes.
///
/// # Errors
/// Nothing is embedded, or a file cannot be written.
pub fn stage(folder: &Path) -> Result<(), ImageError> {
    embedded().ok_or(ImageError::NothingEmbedded)?.stage(folder)
}

async fn find(engine: &Engine, reference: &str) -> Result<Image, ImageError> {
    let answer = engine
        .call("inspect an image", CALL, |client| async move { client.inspect_image(reference).await })
        .await;
    match answer {
        Ok(found) => judge(reference, found),
        Err(SandboxError::Refused { status: 404, .. }) => {
            Err(ImageError::Missing { reference: reference.to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an image is ours, by what the engine says of it.
fn judge(reference: &str, found: ImageInspect) -> Result<Image, ImageError> {
    let not_ours = |reason: &str| {
        Err(ImageError::NotOurs { reference: reference.to_owned(), reason: reason.to_owned() })
    };
    let config = found.config.unwrap_or_default();
    // Each container would leave an anonymous volume, or start what we did not ask for.
    if config.volumes.is_some_and(|volumes| !volumes.is_empty()) {
        return not_ours("it declares volumes");
    }
    let mut labels = config.labels.unwrap_or_default();
    let Some(protocol) = labels.get(LABEL_PROTOCOL) else {
        return not_ours("the label safeurl.protocol is missing");
    };
    let Ok(protocol) = protocol.parse::<u32>() else {
        return not_ours("the label safeurl.protocol is not a number");
    };
    if protocol != PROTOCOL {
        return Err(ImageError::WrongProtocol { reference: reference.to_owned(), found: protocol });
    }
    match (labels.remove(LABEL_FETCHER), found.id) {
        (Some(sha256), Some(id)) if is_sha256(&sha256) => {
            Ok(Image { reference: reference.to_owned(), id, fetcher_sha256: sha256 })
        }
        (Some(_), Some(_)) => not_ours("the label safeurl.fetcher is not a SHA-256"),
        (None, _) => not_ours("the label safeurl.fetcher is missing"),
        (Some(_), None) => not_ours("the engine gives it no id"),
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Builds an image from a Dockerfile and the one program it copies, found there as
/// `staged-by-make-image/safeurl-fetcher`.
///
/// # Errors
/// The engine cannot be asked, or cannot build it.
pub async fn build(engine: &Engine, tag: &str, dockerfile: &str, binary: &[u8]) -> Result<(), ImageError> {
    let failed = |message: String| ImageError::Build { reference: tag.to_owned(), message };
    let context = archive(dockerfile, binary).map_err(|error| failed(error.to_string()))?;
    let context = Bytes::from(context);
    let mut answer = build_once(engine, tag, context.clone(), Layers::Known).await;
    if let Err(SandboxError::Refused { message, .. }) = &answer
        && message.contains(VANISHED)
    {
        answer = build_once(engine, tag, context, Layers::New).await;
    }
    match answer {
        Ok(()) => Ok(()),
        Err(SandboxError::Refused { message, .. }) => Err(failed(message)),
        Err(error) => Err(error.into()),
    }
}

/// Looking for known layers, the classic builder walks all images and fails with this when one is removed meanwhile,
/// whichever it is.
const VANISHED: &str = "unable to find image";

/// Where a build takes layers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layers {
    /// From builds before, so that the same sources give the same image.
    Known,
    /// From nowhere.
    New,
}

async fn build_once(engine: &Engine, tag: &str, context: Bytes, layers: Layers) -> Result<(), SandboxError> {
    // `forcerm`: a failed build leaves no container behind either. The build itself needs no network.
    let options = BuildImageOptionsBuilder::default()
        .t(tag)
        .rm(true)
        .forcerm(true)
        .nocache(layers == Layers::New)
        .networkmode("none")
        .build();
    engine
        .call("build an image", BUILD, |client| async move {
            let context = bollard::body_full(context);
            client.build_image(options, None, Some(context)).try_for_each(|_| async { Ok(()) }).await
        })
        .await
}

fn archive(dockerfile: &str, binary: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes, mode) in [("Dockerfile", dockerfile.as_bytes(), 0o644), (STAGED_BINARY, binary, 0o755)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        // The same sources give the same layer: no time of day in it.
        header.set_mtime(0);
        archive.append_data(&mut header, path, bytes)?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Read as _;

    use bollard::models::ImageConfig;

    use super::*;

    fn image(labels: &[(&str, &str)]) -> ImageInspect {
        let labels: HashMap<_, _> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ImageInspect {
            id: Some("sha256:1".to_owned()),
            config: Some(ImageConfig { labels: Some(labels), ..Default::default() }),
            ..Default::default()
        }
    }

    fn reason(found: ImageInspect) -> String {
        judge("x:latest", found).expect_err("not ours").to_string()
    }

    #[test]
    fn an_image_with_both_labels_is_ours() {
        let protocol = PROTOCOL.to_string();
        let sha256 = "0".repeat(64);
        let found = judge("x:latest", image(&[(LABEL_PROTOCOL, &protocol), (LABEL_FETCHER, &sha256)]));
        let expected =
            Image { reference: "x:latest".to_owned(), id: "sha256:1".to_owned(), fetcher_sha256: sha256 };
        assert_eq!(found.expect("ours"), expected);
    }

    #[test]
    fn an_image_of_another_program_is_refused_with_what_it_lacks() {
        let sha256 = "0".repeat(64);
        let capitals = "A".repeat(64);
        for (labels, expected) in [
            (vec![], "the label safeurl.protocol is missing"),
            (vec![(LABEL_PROTOCOL, "one")], "the label safeurl.protocol is not a number"),
            (vec![(LABEL_PROTOCOL, "2")], "the label safeurl.fetcher is missing"),
            (vec![(LABEL_PROTOCOL, "2"), (LABEL_FETCHER, "abc")], "is not a SHA-256"),
            (vec![(LABEL_PROTOCOL, "2"), (LABEL_FETCHER, &capitals)], "is not a SHA-256"),
            (
                vec![(LABEL_PROTOCOL, "3"), (LABEL_FETCHER, &sha256)],
                "speaks protocol 3, this worker speaks 2",
            ),
        ] {
            let message = reason(image(&labels));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn an_image_with_volumes_is_refused() {
        let mut found = image(&[(LABEL_PROTOCOL, "2"), (LABEL_FETCHER, &"0".repeat(64))]);
        found.config.get_or_insert_default().volumes = Some(vec!["/data".to_owned()]);
        assert!(reason(found).contains("volumes"));
    }

    #[test]
    fn the_archive_holds_the_program_where_the_dockerfile_looks_for_it() {
        let bytes = archive("FROM scratch\n", b"program").expect("in memory");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = vec![];
        for entry in archive.entries().expect("a tar") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            seen.push((path, text, entry.header().mode().expect("a mode")));
        }
        let expected = [("Dockerfile", "FROM scratch\n", 0o644), (STAGED_BINARY, "program", 0o755)]
            .map(|(path, text, mode)| (path.to_owned(), text.to_owned(), mode));
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_tag_of_an_embedded_fetcher_is_the_start_of_its_digest() {
        let embedded = Embedded { binary: b"abc", dockerfile: "" };
        assert_eq!(embedded.reference(), "safeurl-fetcher:ba7816bf8f01");
    }

    #[test]
    fn a_staged_fetcher_is_a_folder_that_can_be_built() {
        let folder = std::env::temp_dir().join(format!("safeurl-test-{}", uuid::Uuid::new_v4().simple()));
        let embedded = Embedded { binary: b"abc", dockerfile: "FROM scratch\n" };
        embedded.stage(&folder).expect("a new folder");
        assert_eq!(fs::read(folder.join("Dockerfile")).expect("written"), b"FROM scratch\n");
        let binary = folder.join(STAGED_BINARY);
        assert_eq!(fs::read(&binary).expect("written"), b"abc");
        assert_eq!(fs::metadata(&binary).expect("written").permissions().mode() & 0o777, 0o755);
        fs::remove_dir_all(&folder).expect("our own folder");
        assert!(matches!(
            embedded.stage(Path::new("/proc/nowhere")),
            Err(ImageError::Stage { path, .. }) if path.starts_with("/proc/nowhere")
        ));
    }
}
