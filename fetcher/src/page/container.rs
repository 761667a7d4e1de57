//! Formats that hold others, or that have no fixed mark: what is inside, or how the parts fit, tells the type.

mod ole;
mod zip;

/// The type, where the bytes are one of these formats.
pub(super) fn kind(bytes: &[u8]) -> Option<&'static str> {
    let at = |from: usize, mark: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(mark));
    if at(0, b"PK\x03\x04") || at(0, b"PK\x05\x06") {
        return Some(zip::kind(bytes));
    }
    if at(0, ole::MARK) {
        return Some(ole::kind(bytes));
    }
    if at(0, b"RIFF") {
        return match bytes.get(8..12)? {
            b"WEBP" => Some("image/webp"),
            b"WAVE" => Some("audio/wave"),
            b"AVI " => Some("video/avi"),
            _ => None,
        };
    }
    if at(0, b"FORM") && at(8, b"AIFF") {
        return Some("audio/aiff");
    }
    if at(0, b"\xca\xfe\xba\xbe") {
        // A class file's version is 45 or more; no fat binary holds that many architectures.
        let class = be32(bytes, 4).is_none_or(|count| count >= 45);
        return Some(if class { "application/java-vm" } else { "application/x-mach-binary" });
    }
    if at(0, b"\x1a\x45\xdf\xa3") {
        return Some(if is_webm(bytes) { "video/webm" } else { "video/x-matroska" });
    }
    base_media(bytes).or_else(|| is_mp3(bytes).then_some("audio/mpeg")).or_else(|| trailer(bytes))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*four))
}

/// Disc images that are known by their last sector: the trailer of an Apple image, the footer of a fixed VHD.
fn trailer(bytes: &[u8]) -> Option<&'static str> {
    let last = bytes.get(bytes.len().checked_sub(512)?..)?;
    if last.starts_with(b"koly\x00\x00\x00\x04") {
        return Some("application/x-apple-diskimage");
    }
    last.starts_with(b"conectix").then_some("application/x-vhd")
}

/// ISO base media: the standard's signature of MP4 (MIME Sniffing section 6.2.1), then other brands by name.
fn base_media(bytes: &[u8]) -> Option<&'static str> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    Some(match bytes.get(8..12)? {
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"mif1" => "image/heic",
        b"qt  " => "video/quicktime",
        b"M4A " | b"M4B " => "audio/mp4",
        _ => "video/mp4",
    })
}

/// The standard looks for the DocType element among the first bytes (MIME Sniffing section 6.2.2).
fn is_webm(bytes: &[u8]) -> bool {
    let front = bytes.get(..38.min(bytes.len())).unwrap_or_default();
    let Some(at) = front.windows(2).position(|two| two == b"\x42\x82") else { return false };
    // The length of a number stands in its leading zeros.
    let Some(first) = bytes.get(at + 2) else { return false };
    let size = first.leading_zeros() as usize + 1;
    bytes.get(at + 2 + size..).is_some_and(|rest| rest.starts_with(b"webm"))
}

/// Two MPEG audio frames, one where the other ends (MIME Sniffing section 6.2.3).
fn is_mp3(bytes: &[u8]) -> bool {
    let Some(length) = mp3_frame(bytes) else { return false };
    bytes.get(length..).is_some_and(|rest| mp3_frame(rest).is_some())
}

/// The length of the layer III frame at the front.
fn mp3_frame(bytes: &[u8]) -> Option<usize> {
    /// Kilobits per second of MPEG 1 and of MPEG 2 and 2.5 (ISO 11172-3 table 2.4.2.3, ISO 13818-3).
    const FIRST: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const SECOND: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let [0xff, second, third, _] = *bytes.first_chunk::<4>()? else { return None };
    // Synchronisation, a version that is not reserved, layer III.
    if second & 0xe0 != 0xe0 || second & 0x18 == 0x08 || second & 0x06 != 0x02 {
        return None;
    }
    let version = (second >> 3) & 3;
    let kilobits = *if version == 3 { &FIRST } else { &SECOND }.get(usize::from(third >> 4))?;
    let hertz = *[44_100, 48_000, 32_000].get(usize::from((third >> 2) & 3))?;
    let (hertz, samples) = match version {
        3 => (hertz, 144),
        2 => (hertz / 2, 72),
        _ => (hertz / 4, 72),
    };
    let length = samples * kilobits * 1000 / hertz + usize::from((third >> 1) & 1);
    (kilobits > 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_without_a_tag_is_two_frames_in_a_row() {
        // MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes.
        let mut bytes = vec![0; 417];
        bytes[..4].copy_from_slice(b"\xff\xfb\x90\x00");
        assert_eq!(kind(&bytes), None);
        bytes.extend_from_slice(b"\xff\xfb\x90\x00");
        assert_eq!(kind(&bytes), Some("audio/mpeg"));
    }

    #[test]
    fn films_are_told_apart_by_what_they_say_inside() {
        let cases: [(&[u8], &str); 6] = [
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "video/x-matroska"),
            (b"\x00\x00\x00\x18ftypmp42", "video/mp4"),
            (b"\x00\x00\x00\x18ftypavif", "image/avif"),
            (b"RIFF\x00\x00\x00\x00AVI ", "video/avi"),
            (b"FORM\x00\x00\x00\x00AIFF", "audio/aiff"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(kind(bytes), Some(expected), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn disc_images_are_known_by_their_end() {
        let mut image = vec![0; 4096];
        image[4096 - 512..4096 - 504].copy_from_slice(b"koly\x00\x00\x00\x04");
        assert_eq!(kind(&image), Some("application/x-apple-diskimage"));
        image[4096 - 512..4096 - 504].copy_from_slice(b"conectix");
        assert_eq!(kind(&image), Some("application/x-vhd"));
    }
}
