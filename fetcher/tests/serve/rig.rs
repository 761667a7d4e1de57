//! What the program meets: sites on loopback, a gateway that knows them by name, and a supervisor's stdin.
//!
//! The gateway here decides nothing; it plays the answers a test gives it. Threads end with the test's process.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use safeurl_protocol::frame::{Ready, ReportHeader};
use safeurl_protocol::{Egress, ErrorClass, Exchange, Header, Invocation, Method, Report};
use sha2::{Digest, Sha256};

/// What the gateway does with a host.
#[derive(Clone)]
pub(crate) enum Door {
    /// Connects to it.
    Dial(SocketAddr),
    /// Answers this head and body, `{seq}` replaced.
    Say(String),
    /// Closes without a word, as a socket that is not bound.
    Close,
    /// Never answers.
    Silence,
}

/// One test's world.
pub(crate) struct Rig {
    dir: PathBuf,
    doors: Arc<Mutex<HashMap<String, Door>>>,
}

static RIGS: AtomicU64 = AtomicU64::new(0);

impl Rig {
    pub(crate) fn new() -> Self {
        let number = RIGS.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("safeurl-fetcher-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder for the socket");
        let listener = UnixListener::bind(dir.join("gw.sock")).expect("a socket");
        let doors: Arc<Mutex<HashMap<String, Door>>> = Arc::default();
        let known = Arc::clone(&doors);
        thread::spawn(move || {
            for (seq, stream) in (1u64..).zip(listener.incoming().map_while(Result::ok)) {
                let known = Arc::clone(&known);
                thread::spawn(move || gateway(stream, seq, &known));
            }
        });
        Self { dir, doors }
    }

    pub(crate) fn door(&self, authority: &str, door: Door) -> &Self {
        self.doors.lock().expect("no test panics with it").insert(authority.to_owned(), door);
        self
    }

    /// A site at `authority`; the handler gets the request head and the connection.
    pub(crate) fn site(
        &self,
        authority: &str,
        handler: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static,
    ) -> &Self {
        let address = listen(move |mut stream| {
            let head = read_head(&mut stream);
            handler(&head, &mut stream);
        });
        self.door(authority, Door::Dial(address))
    }

    /// A site that answers every request with these bytes.
    pub(crate) fn says(&self, authority: &str, response: impl Into<Vec<u8>>) -> &Self {
        let response = response.into();
        self.site(authority, move |_, stream| {
            let _ = stream.write_all(&response);
        })
    }

    pub(crate) fn invocation(&self, url: &str) -> Invocation {
        Invocation {
            attempt: "job-1/1".to_owned(),
            url: url.to_owned(),
            fallback_url: None,
            method: Method::Get,
            headers: Vec::new(),
            user_agent: "test agent".to_owned(),
            timeout_ms: 60_000,
            max_redirects: 10,
            body_cap: 10 * 1024 * 1024,
            output_cap: 8 * 1024 * 1024,
            respect_robots: false,
            evidence: false,
            egress: Egress::Gateway { socket: self.dir.join("gw.sock").display().to_string() },
        }
    }

    /// Fetches with the usual invocation.
    pub(crate) fn fetch(&self, url: &str) -> Report {
        run(&self.invocation(url))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Listens on loopback and gives each connection a thread.
pub(crate) fn listen(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("bound");
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let handler = Arc::clone(&handler);
            thread::spawn(move || handler(stream));
        }
    });
    address
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn gateway(mut stream: UnixStream, seq: u64, doors: &Mutex<HashMap<String, Door>>) {
    let head = read_head(&mut stream);
    let authority = head.split(' ').nth(1).unwrap_or_default().to_owned();
    assert!(head.starts_with("CONNECT ") && head.contains(&format!("\r\nHost: {authority}\r\n")), "{head:?}");
    let door = doors.lock().expect("no test panics with it").get(&authority).cloned();
    match door.unwrap_or_else(|| panic!("nobody lives at {authority}")) {
        Door::Dial(address) => {
            let server = TcpStream::connect(address).expect("the site listens");
            let answer = format!("HTTP/1.1 200 Connection established\r\nSafeurl-Connection: {seq}\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("the fetcher listens");
            pump(stream, server);
        }
        Door::Say(text) => {
            let _ = stream.write_all(text.replace("{seq}", &seq.to_string()).as_bytes());
        }
        Door::Close => drop(stream),
        Door::Silence => {
            let _ = stream.read(&mut [0; 1]);
        }
    }
}

/// Copies both ways until both sides are done.
fn pump(client: UnixStream, server: TcpStream) {
    let (mut from, mut to) =
        (client.try_clone().expect("a descriptor"), server.try_clone().expect("a descriptor"));
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// The program, started and ready.
pub(crate) struct Waiting {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Waiting {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_safeurl-fetcher"))
            .arg("--serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        assert_eq!(line.trim_end(), serde_json::to_string(&Ready::current()).expect("serializable"));
        Self { child, stdin, stdout }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stdin.write_all(bytes).expect("the program reads");
    }

    /// Closes stdin; gives what stdout still says, what stderr says, and how it ended.
    pub(crate) fn close(self) -> (Vec<u8>, String, ExitStatus) {
        drop(self.stdin);
        Self::collect(self.child, self.stdout)
    }

    /// The same with stdin left open until the program is gone.
    pub(crate) fn finish(self) -> (Vec<u8>, String, ExitStatus) {
        let open = self.stdin;
        let collected = Self::collect(self.child, self.stdout);
        drop(open);
        collected
    }

    fn collect(
        mut child: Child,
        mut stdout: BufReader<std::process::ChildStdout>,
    ) -> (Vec<u8>, String, ExitStatus) {
        let mut output = Vec::new();
        stdout.read_to_end(&mut output).expect("readable");
        let mut complaint = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut complaint).expect("text");
        (output, complaint, child.wait().expect("it ends"))
    }
}

/// Serves one invocation and checks the frame around the report. Stdin stays open: it is not read again.
pub(crate) fn run(invocation: &Invocation) -> Report {
    let mut program = Waiting::start();
    let mut line = serde_json::to_vec(invocation).expect("serializable");
    line.push(b'\n');
    program.write(&line);
    let (output, complaint, status) = program.finish();
    assert_eq!(status.code(), Some(0), "{complaint}");
    let end = output.iter().position(|byte| *byte == b'\n').expect("a header line");
    let header: ReportHeader = serde_json::from_slice(&output[..end]).expect("a header");
    let json = &output[end + 1..output.len() - 1];
    assert_eq!(output.last(), Some(&b'\n'));
    assert_eq!((header.report, header.bytes), (1, json.len() as u64));
    let digest: String = Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header.sha256, digest);
    assert_eq!(header.attempt, invocation.attempt);
    assert!(json.len() as u64 <= invocation.output_cap);
    let report: Report = serde_json::from_slice(json).expect("a report");
    assert_eq!(report.attempt, invocation.attempt);
    report
}

/// An HTML page as a whole response.
pub(crate) fn page(html: &str) -> Vec<u8> {
    response("200 OK", "Content-Type: text/html; charset=utf-8\r\n", html.as_bytes())
}

pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn redirect(to: &str) -> Vec<u8> {
    response("302 Found", &format!("Location: {to}\r\n"), b"moved")
}

pub(crate) fn class(exchange: &Exchange) -> Option<ErrorClass> {
    exchange.error.as_ref().map(|error| error.class)
}

pub(crate) fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}

pub(crate) fn title(report: &Report) -> Option<&str> {
    report.features.as_ref().and_then(|features| features.title.as_deref())
}
