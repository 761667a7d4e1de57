//! An engine that can be taken away: a proxy before the real one, which nobody may restart.

use std::fs;
use std::path::PathBuf;

use safeurl::sandbox::docker::Docker;
use tokio::io::{AsyncReadExt as _, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

use super::support::Place;

const REAL: &str = "/var/run/docker.sock";

pub(crate) struct Proxy {
    socket: PathBuf,
    accepting: AbortHandle,
}

impl Proxy {
    pub(crate) fn new(place: &Place) -> Self {
        let socket = place.door.join("docker.sock");
        Self { accepting: accept(&socket), socket }
    }

    /// A sandbox that reaches the engine over this.
    pub(crate) fn docker(&self, place: &Place) -> Docker {
        let mut config = place.config.clone();
        config.docker_host = Some(self.socket.display().to_string());
        Docker::new(config)
    }

    /// From here on lets every request through and hangs up when the engine begins to answer.
    pub(crate) fn swallow_answers(&mut self) {
        self.stop();
        let listener = UnixListener::bind(&self.socket).expect("a short path");
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut engine = UnixStream::connect(REAL).await.expect("an engine");
                let (mut answers, mut requests) = engine.split();
                let mut first = [0];
                tokio::select! {
                    _ = tokio::io::copy(&mut client, &mut requests) => {}
                    _ = answers.read(&mut first) => {}
                }
            }
        });
        self.accepting = task.abort_handle();
    }

    /// Hangs up on everybody and does not come back.
    pub(crate) fn stop(&mut self) {
        self.accepting.abort();
        fs::remove_file(&self.socket).expect("our own socket");
    }

    /// Hangs up on everybody and is there again.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.accepting = accept(&self.socket);
    }
}

/// The task owns its connections, so they end with it.
fn accept(socket: &PathBuf) -> AbortHandle {
    let listener = UnixListener::bind(socket).expect("a short path");
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut engine = UnixStream::connect(REAL).await?;
                copy_bidirectional(&mut client, &mut engine).await
            });
        }
    });
    task.abort_handle()
}
