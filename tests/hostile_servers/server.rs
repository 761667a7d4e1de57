//! Servers on loopback that say what a test wants, byte by byte. Their threads end with the test's process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) type Secure = StreamOwned<ServerConnection, TcpStream>;

/// Gives each connection a thread.
pub(crate) fn listen(handler: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
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

/// Answers each request by its head.
pub(crate) fn plain(handler: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    listen(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
        handler(&head, &mut stream);
        // Closing with something unread would reset the connection under what was said.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    })
}

/// Shakes hands and hands over what comes after the first request.
pub(crate) fn secure(
    config: ServerConfig,
    handler: impl Fn(&mut Secure) + Send + Sync + 'static,
) -> SocketAddr {
    let config = Arc::new(config);
    listen(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = StreamOwned::new(session, stream);
        if stream.read(&mut [0; 4096]).is_ok() {
            handler(&mut stream);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    })
}

/// The path of a request's head.
pub(crate) fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or("/")
}

/// Writes a piece until the other side is gone.
pub(crate) fn forever(stream: &mut TcpStream, piece: &[u8]) {
    let many = piece.repeat((16 * 1024 / piece.len()).max(1));
    while stream.write_all(&many).is_ok() {}
}

/// Writes a byte a second until the other side is gone.
pub(crate) fn drip(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket");
    while stream.write_all(b"a").is_ok() && stream.read(&mut [0]).is_err() {}
}

/// An HTML page as a whole answer.
pub(crate) fn page(html: &str) -> Vec<u8> {
    let length = html.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
    format!("{head}Content-Length: {length}\r\n\r\n{html}").into_bytes()
}
