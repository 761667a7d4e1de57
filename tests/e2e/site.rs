//! A web site on this machine that remembers who asked for what.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What to answer to a path.
pub(crate) type Handler = dyn Fn(&str) -> Answer + Send + Sync;

/// One answer.
pub(crate) enum Answer {
    /// A page.
    Html(String),
    /// A status with headers and no body.
    Head(u16, Vec<(&'static str, String)>),
    /// Bytes as they are, then the connection is closed.
    Raw(Vec<u8>),
    /// A head, and a piece so many times, as long as somebody reads.
    Long { head: &'static str, piece: &'static [u8], times: usize },
    /// Nothing, until the other side goes away.
    Silence,
}

/// A running site; its threads end with the test process.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    hits: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Site {
    pub(crate) fn start(handler: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), handler)
    }

    /// The same on another address of this machine.
    pub(crate) fn start_at(
        address: IpAddr,
        handler: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("an address of this machine");
        let address = listener.local_addr().expect("bound");
        let hits = Arc::new(Mutex::new(BTreeMap::new()));
        let handler: Arc<Handler> = Arc::new(handler);
        let seen = Arc::clone(&hits);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                thread::spawn(move || serve(stream, &*handler, &seen));
            }
        });
        Self { address, hits }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often a path was asked for.
    pub(crate) fn hits(&self, path: &str) -> usize {
        self.hits.lock().expect("no panic").get(path).copied().unwrap_or(0)
    }

    /// How often anything was asked for.
    pub(crate) fn total(&self) -> usize {
        self.hits.lock().expect("no panic").values().sum()
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, hits: &Mutex<BTreeMap<String, usize>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) <= 2 {
            break;
        }
    }
    *hits.lock().expect("no panic").entry(path.clone()).or_default() += 1;
    let bytes = match handler(&path) {
        Answer::Html(html) => format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{html}",
            html.len()
        )
        .into_bytes(),
        Answer::Head(status, headers) => {
            let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("\r\n");
            head.into_bytes()
        }
        Answer::Raw(bytes) => bytes,
        Answer::Long { head, piece, times } => {
            let _ = stream.write_all(head.as_bytes());
            let _ = (0..times).try_for_each(|_| stream.write_all(piece));
            return;
        }
        Answer::Silence => {
            let mut rest = String::new();
            let _ = reader.read_line(&mut rest);
            return;
        }
    };
    let _ = stream.write_all(&bytes);
}

/// A small harmless page.
pub(crate) fn article(title: &str) -> Answer {
    Answer::Html(format!(
        "<!doctype html><html lang=en><head><title>{title}</title><meta name=description content='About it'></head>\
         <body><h1>{title}</h1><p>{}</p><a href='/more'>More</a></body></html>",
        "A sentence that says something about the subject. ".repeat(40)
    ))
}
