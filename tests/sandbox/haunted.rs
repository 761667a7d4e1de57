//! An engine that does what Docker 20.10 does now and then, every time: it says of its containers that they are being
//! removed and never is done with it, and a build that looks for known layers comes upon an image that is gone. The
//! real one cannot be made to.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

/// It listens as long as its runtime lives; its folder goes with this.
pub(crate) struct Haunted {
    folder: PathBuf,
    /// How often a removal was asked for.
    pub(crate) asked: Arc<AtomicU32>,
}

impl Drop for Haunted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Haunted {
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("safeurl-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).expect("a new folder");
        let haunted = Self { folder, asked: Arc::default() };
        let listener = UnixListener::bind(haunted.host()).expect("a short path");
        let counter = Arc::clone(&haunted.asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![];
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a request"));
                }
                let head = String::from_utf8(head).expect("ASCII");
                let (status, body) = answer(&head, &counter);
                let answer = format!(
                    "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                // Who is still sending hears the answer before the end.
                let _ = stream.shutdown().await;
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
        });
        haunted
    }

    /// Where it is reached.
    pub(crate) fn host(&self) -> String {
        self.folder.join("docker.sock").display().to_string()
    }
}

fn answer(head: &str, removals: &AtomicU32) -> (u16, &'static str) {
    let line = head.lines().next().unwrap_or_default();
    if line.starts_with("DELETE ") {
        removals.fetch_add(1, Ordering::Relaxed);
        return (409, r#"{"message":"removal of container ghost is already in progress"}"#);
    }
    if line.starts_with("POST ") && line.contains("/build?") {
        let known_layers = !line.contains("nocache=true");
        return if known_layers {
            (
                200,
                r#"{"errorDetail":{"message":"unable to find image \"sha256:0\""},"error":"unable to find image \"sha256:0\""}"#,
            )
        } else {
            (200, r#"{"stream":"Successfully built 1"}"#)
        };
    }
    if line.contains("/version") {
        (200, r#"{"Version":"20.10.24","ApiVersion":"1.41"}"#)
    } else if line.contains("/kill") {
        (409, r#"{"message":"Container ghost is not running"}"#)
    } else if line.contains("/containers/create") {
        (201, r#"{"Id":"1","Warnings":[]}"#)
    } else if line.contains("/containers/json") {
        (
            200,
            r#"[{"Id":"1","Names":["/ghost"],"State":"removing","Status":"Removal In Progress","Labels":{}},
                {"Id":"2","Names":["/corpse"],"State":"dead","Status":"Dead","Labels":{}}]"#,
        )
    } else {
        (200, r#"{"Id":"1","State":{"Running":false,"Dead":true,"Status":"removing"}}"#)
    }
}
