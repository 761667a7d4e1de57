//! Gigabytes in kilobytes, in every coding and inside each other.

use std::io::Write as _;

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};

use crate::leftovers;
use crate::scanned::{self, end};
use crate::server::{path, plain};
use crate::stage::Stage;

const MIB: usize = 1024 * 1024;

/// So many MiB of blanks as a bare stream of deflate: one of them flushed to a byte's border, repeated.
fn deflated(mib: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(64 * 1024);
    let mut compress = Compress::new(Compression::best(), false);
    compress.compress_vec(&[b' '; MIB], &mut packed, FlushCompress::Full).expect("writing to memory");
    assert_eq!(compress.total_in(), MIB as u64);
    // An empty block that is the last.
    [packed.repeat(mib), vec![3, 0]].concat()
}

/// The same as a member of gzip. Nobody gets as far as its checksum.
fn gzipped(mib: usize) -> Vec<u8> {
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &deflated(mib), &[0; 8]].concat()
}

fn again(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// A frame of so many blocks of 128 KiB of one letter, each in four bytes (RFC 8878 section 3.1.1.2.2).
fn zstd(blocks: usize) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x40];
    for n in 1..=blocks {
        let last = u32::from(n == blocks);
        frame.extend_from_slice(&((128 * 1024) << 3 | 1 << 1 | last).to_le_bytes()[..3]);
        frame.push(b' ');
    }
    frame
}

/// Twenty million letters, by the reference encoder; nothing at hand packs brotli.
const BROTLI: &[u8] = &[
    0xcb, 0xff, 0xff, 0x3f, 0xf8, 0x25, 0xc2, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x8f, 0xff, 0xff, 0x7f,
    0xf0, 0x4b, 0x00, 0xc4, 0x61, 0x11, 0x80, 0xee, 0xfd, 0x5f, 0xfe, 0xb3, 0xc4, 0xe0, 0x97, 0x00, 0x88,
    0xc3, 0x02, 0x00, 0x5d, 0x92, 0x18,
];

#[test]
fn a_bomb_of_any_coding_and_a_bomb_in_a_bomb_are_named_and_take_no_memory() {
    // 2 GiB, 10 GiB in zstd.
    let (gigabytes, frame) = (gzipped(2_048), zstd(80_000));
    let bombs: Vec<(&str, &str, Vec<u8>)> = vec![
        ("/gzip", "gzip", gigabytes.clone()),
        ("/deflate", "deflate", deflated(2_048)),
        ("/br", "br", BROTLI.to_vec()),
        ("/zstd", "zstd", frame.clone()),
        ("/gzip-twice", "gzip, gzip", again(&gigabytes)),
        ("/zstd-in-gzip", "zstd, gzip", again(&frame)),
        ("/br-in-gzip", "br, gzip", again(BROTLI)),
        ("/four", "zstd, gzip, gzip, gzip", again(&again(&again(&frame)))),
    ];
    let names: Vec<_> = bombs.iter().map(|(name, ..)| *name).collect();
    let address = plain(move |head, stream| {
        let Some((_, encoding, body)) = bombs.iter().find(|(name, ..)| path(head) == *name) else {
            return drop(stream.write_all(b"HTTP/1.1 404 No\r\n\r\n"));
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
        let _ =
            write!(stream, "{head}Content-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(body);
    });
    let stage = Stage::new();
    let urls: Vec<_> = names.iter().map(|name| format!("http://{address}{name}")).collect();
    for (url, document) in scanned::all(&stage, &urls, "30s") {
        assert_eq!(end(&document), ["COMPLETED", "-", "body"], "{url}: {document}");
        let message = document["requests"][0]["error"]["message"].as_str().unwrap();
        assert!(message.contains("decompression bomb"), "{url}: {message}");
        let content = &document["content"];
        assert_eq!(content["truncated"], true, "{url}");
        assert!(content["size"].as_u64().is_some_and(|size| size < 10 * 1024 * 1024), "{url}: {content}");
        assert_ne!(document["verdict"]["state"], "notEvaluated", "{url}");
    }
    leftovers::none_within(&stage, std::time::Duration::from_secs(45));
}
