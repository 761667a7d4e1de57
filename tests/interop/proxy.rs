//! Stands between safeurl and Redis and makes one of the scripts a no-op: the program that is tested needs no hook for it.
//!
//! A script is known by its own text at the end of what is loaded. Whoever calls it is answered by Redis all the same, so
//! that answers stay in their order: by a script that does nothing and says what the omitted one says when nothing is
//! wrong.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running proxy; its threads end with the test process.
pub(crate) struct Proxy {
    socket: PathBuf,
}

/// What is left out.
struct Omitted {
    text: Vec<u8>,
    instead: &'static str,
    hashes: Mutex<Vec<String>>,
}

impl Proxy {
    /// Starts one that leaves out `worker/src/queue/bullmq/<script>.lua` and runs something else instead.
    pub(crate) fn start(folder: &Path, redis: &Path, script: &str, instead: &'static str) -> Self {
        let socket = folder.join("proxy.sock");
        let file = scripts().join(format!("{script}.lua"));
        let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let omitted = Arc::new(Omitted { text, instead, hashes: Mutex::default() });
        let listener = UnixListener::bind(&socket).expect("a socket in the test's folder");
        let redis = redis.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = UnixStream::connect(&redis) else { continue };
                let omitted = Arc::clone(&omitted);
                let (mut from, mut back) =
                    (server.try_clone().expect("a socket"), client.try_clone().expect("a socket"));
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut back);
                    let _ = back.shutdown(std::net::Shutdown::Both);
                });
                thread::spawn(move || {
                    let _ = pass(&client, &server, &omitted);
                    let _ = server.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        Self { socket }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

/// Where the scripts are.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/queue/bullmq")
}

fn pass(client: &UnixStream, mut server: &UnixStream, omitted: &Omitted) -> io::Result<()> {
    let mut client = BufReader::new(client);
    while let Some(command) = read(&mut client)? {
        if omitted.has(&command) {
            write(&mut server, &[b"EVAL".to_vec(), omitted.instead.into(), b"0".to_vec()])?;
        } else {
            write(&mut server, &command)?;
        }
    }
    Ok(())
}

impl Omitted {
    fn has(&self, command: &[Vec<u8>]) -> bool {
        let word = |n: usize| command.get(n).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let mut hashes = self.hashes.lock().expect("no panic");
        match word(0).as_slice() {
            b"SCRIPT" if word(1) == b"LOAD" && command[2].ends_with(&self.text) => {
                let text = String::from_utf8_lossy(&command[2]);
                hashes.push(redis::Script::new(&text).get_hash().to_owned());
                false
            }
            b"EVALSHA" => hashes.iter().any(|hash| hash.as_bytes() == command[1]),
            b"EVAL" => command[1].ends_with(&self.text),
            _ => false,
        }
    }
}

/// One command as clients send it: an array of texts.
fn read(from: &mut BufReader<&UnixStream>) -> io::Result<Option<Vec<Vec<u8>>>> {
    let Some(count) = number(from, b'*')? else { return Ok(None) };
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let length = number(from, b'$')?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut word = vec![0; length + 2];
        from.read_exact(&mut word)?;
        word.truncate(length);
        words.push(word);
    }
    Ok(Some(words))
}

fn number(from: &mut BufReader<&UnixStream>, kind: u8) -> io::Result<Option<usize>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let number =
        line.strip_prefix(&[kind]).and_then(|rest| std::str::from_utf8(rest).ok()?.trim().parse().ok());
    number.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn write(to: &mut &UnixStream, words: &[Vec<u8>]) -> io::Result<()> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    to.write_all(&bytes)
}
