//! The site does what the demonstration says of it, asked by hand over plain TCP.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use super::pages::HOSTS;
use super::{DemoSite, serve};
use crate::domain::target::Target;

async fn site() -> DemoSite {
    serve(Ipv4Addr::LOCALHOST).await.expect("a free port on loopback")
}

fn url_of(site: &DemoSite, name: &str) -> Url {
    let row = site.rows().iter().find(|row| row.name == name).expect("a row of that name");
    Url::parse(&row.url).expect("a URL")
}

async fn ask(url: &Url) -> TcpStream {
    let port = url.port().expect("a port of its own");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("somebody listens");
    let host = url.host_str().expect("a host");
    let request = format!("GET {} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n", url.path());
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    stream
}

/// Head and body of an answer that ends.
async fn get(url: &Url) -> (String, Vec<u8>) {
    let mut answer = Vec::new();
    ask(url).await.read_to_end(&mut answer).await.expect("an answer to the end");
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}

fn location(head: &str) -> Option<Url> {
    let value = head.lines().find_map(|line| line.strip_prefix("Location: "))?;
    Some(Url::parse(value).expect("an absolute redirect"))
}

#[tokio::test]
async fn every_row_is_a_target_on_a_host_that_is_announced() {
    for row in site().await.rows() {
        let target = Target::parse(&row.url).expect("a target");
        assert!(HOSTS.contains(&target.host()), "{}", row.url);
    }
}

#[tokio::test]
async fn the_chain_has_five_redirects_over_three_hosts() {
    let site = site().await;
    let mut url = url_of(&site, "five redirects over three hosts");
    let mut hosts = BTreeSet::new();
    let mut redirects = 0;
    loop {
        hosts.insert(url.host_str().expect("a host").to_owned());
        let (head, _) = get(&url).await;
        match location(&head) {
            Some(next) => url = next,
            None => break assert!(head.starts_with("HTTP/1.1 200"), "{head}"),
        }
        redirects += 1;
    }
    assert_eq!((redirects, hosts.len()), (5, 3));
}

#[tokio::test]
async fn the_brand_copy_posts_to_another_site_and_the_own_login_does_not() {
    let site = site().await;
    let url = url_of(&site, "a brand's login posting elsewhere");
    let body = String::from_utf8(get(&url).await.1).expect("text");
    assert!(
        body.contains(&format!("action=\"http://form-drop.test:{}/collect\"", url.port().expect("a port")))
    );
    let own = String::from_utf8(get(&url_of(&site, "a login page of its own")).await.1).expect("text");
    assert!(own.contains("action=\"/session\""));
}

#[tokio::test]
async fn the_invoice_says_pdf_and_is_a_program() {
    let site = site().await;
    let (head, body) = get(&url_of(&site, "a program named invoice.pdf")).await;
    assert!(head.contains("Content-Type: application/pdf"), "{head}");
    assert!(body.starts_with(b"MZ") && &body[0x80..0x84] == b"PE\0\0");
}

#[tokio::test]
async fn the_prize_leads_to_the_metadata_address() {
    let site = site().await;
    let (head, _) = get(&url_of(&site, "a redirect to the cloud's metadata")).await;
    assert_eq!(location(&head).expect("a redirect").host_str(), Some("169.254.169.254"));
}

#[tokio::test]
async fn the_endless_page_goes_on_after_its_beginning() {
    let site = site().await;
    let mut stream = ask(&url_of(&site, "a page that never ends")).await;
    let mut taken = vec![0; 2000];
    stream.read_exact(&mut taken).await.expect("more and more");
    let text = String::from_utf8_lossy(&taken);
    assert!(!text.contains("Content-Length") && text.matches("<li>").count() > 2, "{text}");
}

#[tokio::test]
async fn the_silent_server_takes_a_request_and_the_closed_port_refuses() {
    let site = site().await;
    let stream = ask(&url_of(&site, "a server that never answers")).await;
    let waiting = stream.try_read(&mut [0; 1]).expect_err("nothing to read");
    assert_eq!(waiting.kind(), std::io::ErrorKind::WouldBlock);
    let closed = url_of(&site, "a port nobody listens on").port().expect("a port");
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, closed)).await.expect_err("nobody there");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn what_is_not_on_the_site_is_not_found() {
    let site = site().await;
    let mut url = url_of(&site, "a harmless article");
    url.set_path("/elsewhere");
    assert!(get(&url).await.0.starts_with("HTTP/1.1 404"));
}
