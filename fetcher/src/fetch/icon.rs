//! The icon of a page, and the hash by which search engines for servers know it. Pure.
//!
//! Kits for phishing carry the icon of whom they imitate, and their copies share it: the hash finds them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_url::DataUrl;
use safeurl_protocol::Favicon;

/// Icons with a dozen sizes have 100 KiB.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// Of an address that holds the icon itself only the type and the first bytes are told.
const MAX_DATA_URL_BYTES: usize = 256;

/// Encoded lines have this many characters (RFC 2045), which is what everybody else hashes.
const LINE: usize = 76;

/// The facts of an icon.
pub(super) fn of(url: &str, bytes: &[u8]) -> Favicon {
    let max = if is_data(url) { MAX_DATA_URL_BYTES } else { super::MAX_URL_BYTES };
    Favicon {
        url: crate::report::prefix(url, max).to_owned(),
        sha256: crate::report::sha256(bytes),
        mmh3: mmh3(bytes),
    }
}

pub(super) fn is_data(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// The bytes inside a `data:` address; `None` when there are none, too many, or a page instead of a picture.
pub(super) fn inside(url: &str) -> Option<Vec<u8>> {
    let url = DataUrl::process(url).ok()?;
    let mime = url.mime_type();
    if mime.matches("text", "html") || mime.matches("application", "xhtml+xml") {
        return None;
    }
    let (bytes, _) = url.decode_to_vec().ok()?;
    (!bytes.is_empty() && bytes.len() <= MAX_BYTES).then_some(bytes)
}

/// The hash of the bytes in base64, in lines that each end in a line feed.
fn mmh3(bytes: &[u8]) -> i32 {
    let encoded = STANDARD.encode(bytes);
    let mut lines = Vec::with_capacity(encoded.len() + encoded.len() / LINE + 1);
    for line in encoded.as_bytes().chunks(LINE) {
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    murmur3(&lines).cast_signed()
}

/// MurmurHash3, 32 bits for x86, seed 0. The constants are the author's:
/// <https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp>
fn murmur3(bytes: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mix = |block: u32| block.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let (blocks, rest) = bytes.as_chunks::<4>();
    let mut hash = blocks.iter().fold(0u32, |hash, block| {
        let hash = hash ^ mix(u32::from_le_bytes(*block));
        hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let tail = rest.iter().rev().fold(0u32, |tail, byte| (tail << 8) | u32::from(*byte));
    hash ^= mix(tail);
    // The length counts modulo 2^32; an icon is far shorter.
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_that_others_compute() {
        // python: mmh3.hash(base64.encodebytes(bytes)), and of the bytes as they are.
        let all: Vec<u8> = (0..=255).collect();
        for (bytes, expected, plain) in [
            (&b""[..], 0, 0),
            (b"a", -316_242_180, 1_009_084_850),
            (b"icon", 1_355_950_459, -784_623_807),
            (&all, -757_223_386, -469_103_018),
            (&b"\x00\x00\x01\x00".repeat(100), -1_793_460_852, 1_591_301_689),
        ] {
            assert_eq!(mmh3(bytes), expected);
            assert_eq!(murmur3(bytes).cast_signed(), plain);
        }
    }

    #[test]
    fn an_icon_inside_its_address_is_read_and_its_address_is_cut() {
        assert_eq!(inside("data:image/png;base64,aWNv bg").as_deref(), Some(&b"icon"[..]));
        assert_eq!(inside("DATA:image/svg+xml,%3Csvg/%3E").as_deref(), Some(&b"<svg/>"[..]));
        for nothing in ["data:image/png,", "data:text/html,<p>", "data:image/png;base64,%%%", "data:nothing"]
        {
            assert_eq!(inside(nothing), None, "{nothing}");
        }
        assert_eq!(inside(&format!("data:,{}", "x".repeat(MAX_BYTES + 1))), None);
        let icon = of(&format!("data:,{}", "x".repeat(1000)), b"x");
        assert_eq!(icon.url.len(), MAX_DATA_URL_BYTES);
    }
}
