//! An engine that says of its containers that they are being removed, and never is done with it, as Docker 20.10
//! does now and then. The real one cannot be made to.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

pub(crate) struct Haunted {
    /// How often a removal was asked for.
    pub(crate) asked: Arc<AtomicU32>,
}

impl Haunted {
    pub(crate) fn at(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a short path");
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
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
            }
        });
        Self { asked }
    }
}

fn answer(head: &str, removals: &AtomicU32) -> (u16, &'static str) {
    let line = head.lines().next().unwrap_or_default();
    if line.starts_with("DELETE ") {
        removals.fetch_add(1, Ordering::Relaxed);
        return (409, r#"{"message":"removal of container ghost is already in progress"}"#);
    }
    if line.contains("/version") {
        (200, r#"{"Version":"20.10.24","ApiVersion":"1.41"}"#)
    } else if line.contains("/kill") {
        (409, r#"{"message":"Container ghost is not running"}"#)
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
