use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

async fn got(data: Vec<u8>, encoding: Option<&str>, cap: usize) -> Read {
    let far = Instant::now() + std::time::Duration::from_secs(600);
    read(Full::new(Bytes::from(data)), encoding, cap, far).await
}

fn class(read: &Read) -> Option<ErrorClass> {
    read.error.as_ref().map(|error| error.class)
}

#[tokio::test]
async fn a_body_as_long_as_the_cap_is_whole_and_one_byte_more_is_cut() {
    let whole = got(b"12345".to_vec(), None, 5).await;
    assert_eq!((whole.bytes.as_slice(), whole.truncated), (&b"12345"[..], false));
    let cut = got(b"123456".to_vec(), None, 5).await;
    assert_eq!((cut.bytes.as_slice(), cut.truncated, class(&cut)), (&b"12345"[..], true, None));
}

#[tokio::test]
async fn gzip_is_decoded_and_both_sizes_are_counted() {
    let data = b"hello ".repeat(100);
    let packed = gzip(&data);
    for encoding in ["gzip", "x-gzip", " GZIP "] {
        let read = got(packed.clone(), Some(encoding), 10_000).await;
        assert_eq!((&read.bytes, read.encoded, read.truncated), (&data, packed.len() as u64, false));
    }
}

#[tokio::test]
async fn a_bomb_stops_at_the_cap() {
    let read = got(gzip(&vec![0; 5_000_000]), Some("gzip"), 1000).await;
    assert_eq!((read.bytes.len(), read.truncated, class(&read)), (1000, true, None));
    assert!(read.bytes.capacity() < 100_000);
}

#[tokio::test]
async fn a_gzip_stream_that_breaks_off_keeps_its_prefix() {
    let noise: Vec<u8> = (0..50_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut packed = gzip(&noise);
    packed.truncate(packed.len() / 2);
    let read = got(packed, Some("gzip"), 100_000).await;
    assert!(!read.bytes.is_empty() && noise.starts_with(&read.bytes));
    assert_eq!((read.truncated, class(&read)), (true, Some(ErrorClass::Body)));
}

#[tokio::test]
async fn encodings_that_lie_or_are_unknown_keep_the_bytes_as_they_came() {
    for (encoding, data) in [
        ("gzip", &b"<html>"[..]),
        ("gzip", b"x"),
        ("deflate", b"<html>"),
        ("br", b"\x8b\x02"),
        ("br", b"<html><title>plain</title>"),
        ("zstd", b"<html>"),
        ("zstd", b"\x28\xb5"),
        ("lzma", b"<html>"),
        ("gzip, lzma", b"<html>"),
        ("gzip, br, zstd, br, gzip", b"<html>"),
    ] {
        let read = got(data.to_vec(), Some(encoding), 100).await;
        assert_eq!((read.bytes.as_slice(), class(&read)), (data, Some(ErrorClass::Body)), "{encoding}");
    }
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, br", "lzma"] {
        assert_eq!(class(&got(Vec::new(), Some(encoding), 100).await), None);
    }
}

#[tokio::test]
async fn what_follows_a_gzip_stream_is_ignored() {
    let mut packed = gzip(b"page");
    packed.extend_from_slice(b"trailing");
    let read = got(packed, Some("gzip"), 100).await;
    assert_eq!((read.bytes.as_slice(), read.error), (&b"page"[..], None));
}

/// 20,000,000 times the letter a.
const BROTLI_BOMB: &str = "cbffff3ff825c2e2b14020f7fe8fffff7ff04b00c4611180eefd5ffeb3c4e0970088c302005d9218";
/// A small page, packed by the reference encoder.
const BROTLI_PAGE: &str = "1b6c02f88dd448ad3dab2e43637b9320646c2d4821d2d4a60fd8a0158728a568fb63203700";

fn page() -> Vec<u8> {
    format!("<title>packed</title>{}", "hello ".repeat(100)).into_bytes()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn bare(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

/// A frame with this window descriptor and so many blocks of 128 KiB of the letter a; the last is missing when `open`.
fn zstd_of_blocks(window: u8, blocks: u32, open: bool) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window];
    for n in 1..=blocks {
        let last = u32::from(n == blocks && !open);
        frame.extend_from_slice(&((128 * 1024) << 3 | 1 << 1 | last).to_le_bytes()[..3]);
        frame.push(b'a');
    }
    frame
}

/// Hands out one byte a frame.
struct Dripping(std::collections::VecDeque<u8>);

impl Body for Dripping {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        let byte = self.0.pop_front();
        std::task::Poll::Ready(byte.map(|byte| Ok(hyper::body::Frame::data(Bytes::from(vec![byte])))))
    }
}

/// The page in every coding.
fn packed() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(&page())),
        ("deflate", zlib(&page())),
        ("Deflate", bare(&page())),
        ("br", unhex(BROTLI_PAGE)),
        ("zstd", zstd(&page())),
        ("identity", page()),
        ("identity, gzip", gzip(&page())),
        ("zstd, gzip", gzip(&zstd(&page()))),
        ("br,deflate", zlib(&unhex(BROTLI_PAGE))),
        ("gzip, deflate, zstd, gzip", gzip(&zstd(&bare(&gzip(&page()))))),
    ]
}

#[tokio::test]
async fn every_coding_and_stacks_of_them_are_undone_however_the_bytes_arrive() {
    let far = Instant::now() + std::time::Duration::from_secs(600);
    for (encoding, data) in packed() {
        let size = data.len() as u64;
        let read = got(data.clone(), Some(encoding), 10_000).await;
        assert_eq!((read.encoded, read.truncated, &read.error), (size, false, &None), "{encoding}");
        assert_eq!(read.bytes, page(), "{encoding}");
        let dripped = super::read(Dripping(data.into()), Some(encoding), 10_000, far).await;
        assert_eq!(dripped, read, "{encoding}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_named_and_gives_what_it_can() {
    let mut noise = Vec::new();
    while noise.len() < 40_000 {
        let n = (noise.len() as u32).wrapping_mul(2_654_435_761);
        noise.extend_from_slice(format!("{n:x} ").as_bytes());
    }
    for (encoding, mut data) in [
        ("gzip", gzip(&noise)),
        ("deflate", zlib(&noise)),
        ("deflate", bare(&noise)),
        ("zstd", zstd_of_blocks(0x40, 3, true)),
        ("br", unhex(BROTLI_PAGE)),
        ("zstd, gzip", gzip(&zstd_of_blocks(0x40, 3, true))),
    ] {
        if !encoding.contains("zstd") {
            data.truncate(data.len() - 2);
        }
        let read = got(data, Some(encoding), 1_000_000).await;
        assert_eq!((read.truncated, class(&read)), (true, Some(ErrorClass::Body)), "{encoding}");
        let kept = read.bytes.len();
        let least = match encoding {
            "br" => 1,
            "zstd" | "zstd, gzip" => 3 * 128 * 1024,
            _ => noise.len() / 2,
        };
        assert!(kept >= least, "{encoding}: {kept} of at least {least}");
    }
}

#[tokio::test]
async fn what_follows_a_stream_is_ignored_and_zstd_frames_follow_each_other() {
    for (encoding, mut data) in packed().into_iter().filter(|(encoding, _)| *encoding != "identity") {
        data.extend_from_slice(b"<trailing>");
        let read = got(data, Some(encoding), 10_000).await;
        assert_eq!((read.bytes, read.error), (page(), None), "{encoding}");
    }
    let skipped = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(b"one, ")].concat();
    let frames = [zstd(b"none, "), skipped, zstd(b"two")].concat();
    assert_eq!(got(frames, Some("zstd"), 100).await.bytes, b"none, one, two");
}

#[tokio::test]
async fn bombs_end_by_their_ratio_before_they_fill_the_buffer() {
    let bombs = [
        ("gzip", gzip(&vec![b'a'; 20_000_000])),
        ("deflate", zlib(&vec![b'a'; 20_000_000])),
        ("br", unhex(BROTLI_BOMB)),
        ("zstd", zstd_of_blocks(0x40, 200, false)),
        ("gzip, gzip", gzip(&gzip(&vec![b'a'; 20_000_000]))),
        ("br, gzip, zstd", zstd(&gzip(&unhex(BROTLI_BOMB)))),
    ];
    for (encoding, data) in bombs {
        assert!(data.len() < 25_000);
        let read = got(data, Some(encoding), 50_000_000).await;
        assert_eq!((read.truncated, class(&read)), (true, Some(ErrorClass::Body)), "{encoding}");
        let message = read.error.map(|error| error.message).unwrap_or_default();
        assert!(message.contains("decompression bomb"), "{encoding}: {message}");
        assert!(
            read.bytes.len() < 6_000_000 && read.bytes.len() > 900_000,
            "{encoding}: {}",
            read.bytes.len()
        );
    }
}

#[tokio::test]
async fn a_bomb_inside_a_bomb_that_gives_nothing_is_one_too() {
    // Empty stored blocks of a bare stream: any number of them is nothing.
    let mut nothing = [0, 0, 0, 0xff, 0xff].repeat(2_000_000);
    nothing.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    let read = got(gzip(&nothing), Some("deflate, gzip"), 10_000_000).await;
    assert_eq!((read.bytes.len(), class(&read)), (0, Some(ErrorClass::Body)));
    assert!(read.error.is_some_and(|error| error.message.contains("bomb")));
}

#[tokio::test]
async fn a_page_of_blanks_and_text_that_packs_well_are_no_bombs() {
    let table = "<tr><td class=\"cell\">1</td></tr>\n".repeat(30_000);
    for data in [vec![b' '; 1_000_000], table.into_bytes()] {
        let read = got(gzip(&data), Some("gzip"), 10_000_000).await;
        assert_eq!((read.bytes.len(), read.error), (data.len(), None));
    }
}

#[tokio::test]
async fn a_zstd_window_larger_than_browsers_take_is_refused() {
    // 2^(10 + 13) bytes are 8 MiB, the next step is 9 MiB.
    let fits = got(zstd_of_blocks(13 << 3, 1, false), Some("zstd"), 1_000_000).await;
    assert_eq!((fits.bytes.len(), fits.error), (128 * 1024, None));
    let larger = got(zstd_of_blocks(13 << 3 | 1, 1, false), Some("zstd"), 1_000_000).await;
    assert_eq!(class(&larger), Some(ErrorClass::Body));
}

#[tokio::test]
async fn codings_survive_any_damage() {
    for (encoding, data) in packed() {
        for at in 0..data.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut broken = data.clone();
                broken[at] ^= flip;
                let read = got(broken, Some(encoding), 100_000).await;
                assert!(read.bytes.len() <= 100_000);
            }
        }
    }
}
