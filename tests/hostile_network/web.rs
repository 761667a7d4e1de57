//! Web servers at every address of an island, which remember where somebody came.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::island::Island;

/// A connection that was made to one of the servers.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The address that was dialled, as IPv4 where it was IPv4 for the kernel.
    pub(crate) at: IpAddr,
    /// The port that was dialled.
    pub(crate) port: u16,
}

/// The servers; their threads end with the test's process.
pub(crate) struct Web {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Listens at every address on these ports, and answers what `page` says to a path.
    pub(crate) fn open(
        island: &Island,
        ports: &[u16],
        page: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let web = Self { arrivals: Arc::default(), heads: Arc::default() };
        let page = Arc::new(page);
        for port in ports {
            // Of both families: IPv4 comes as mapped.
            let bind = || TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).expect("nobody else is in here");
            let listener = island.inside(bind);
            let (arrivals, heads) = (Arc::clone(&web.arrivals), Arc::clone(&web.heads));
            let page = Arc::clone(&page);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let Ok(SocketAddr::V6(at)) = stream.local_addr() else { continue };
                    locked(&arrivals).push(Arrival { at: at.ip().to_canonical(), port: at.port() });
                    let (heads, page) = (Arc::clone(&heads), Arc::clone(&page));
                    std::thread::spawn(move || serve(stream, &heads, &*page));
                }
            });
        }
        web
    }

    /// Everybody who came, once they are as many as were sent. A kernel completes a connection before the listener
    /// hears of it, so that a look at once could miss the last ones.
    pub(crate) fn arrivals(&self, sent: u64) -> Vec<Arrival> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let arrivals = locked(&self.arrivals).clone();
            if arrivals.len() as u64 == sent {
                return arrivals;
            }
            assert!(Instant::now() < until, "{sent} were sent, these arrived: {arrivals:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Every request head that was read.
    pub(crate) fn heads(&self) -> Vec<String> {
        locked(&self.heads).clone()
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, heads: &Mutex<Vec<String>>, page: &(dyn Fn(&str) -> String + Sync)) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    // The first byte of a handshake (RFC 8446 section 5.1): this server has no certificate.
    if reader.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&22)) {
        return;
    }
    let mut head = String::new();
    loop {
        let begin = head.len();
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
        if head[begin..].trim_end().is_empty() {
            break;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
    locked(heads).push(head);
    let _ = stream.write_all(page(&path).as_bytes());
}

/// A page with further header lines, each ended by `\r\n`.
pub(crate) fn answer(status: u16, lines: &str, html: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\n{lines}Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{html}",
        html.len()
    )
}

/// A page that leads nowhere.
pub(crate) fn article() -> String {
    answer(200, "", &format!("<title>out here</title><p>{}</p>", "A sentence about the subject. ".repeat(40)))
}
