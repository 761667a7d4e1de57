//! Compound files ([MS-CFB]): old office documents, installers, saved mails. The class of the root entry tells which.

pub(super) const MARK: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// A compound file of no class that is known here.
const STORAGE: &str = "application/x-ole-storage";

/// Where an entry of the directory has its class ([MS-CFB] 2.6.1).
const CLASS_AT: usize = 80;

/// Classes as they stand in the file: the first half as little-endian numbers.
const CLASSES: &[([u8; 16], &str)] = &[
    (office(0x0002_0906), "application/msword"),
    (office(0x0002_0900), "application/msword"),
    (office(0x0002_0810), "application/vnd.ms-excel"),
    (office(0x0002_0820), "application/vnd.ms-excel"),
    (office(0x0002_0d0b), "application/vnd.ms-outlook"),
    (office(0x0002_1a14), "application/vnd.visio"),
    (office(0x000c_1084), "application/x-msi"),
    (office(0x000c_1086), "application/x-msi"),
    // Here the second half begins with 00C0.
    (*b"\x01\x12\x02\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x46", "application/vnd.ms-publisher"),
    (*b"\x10\x8d\x81\x64\x9b\x4f\xcf\x11\x86\xea\x00\xaa\x00\xb9\x29\xe8", "application/vnd.ms-powerpoint"),
];

/// `XXXXXXXX-0000-0000-C000-000000000046`.
const fn office(first: u32) -> [u8; 16] {
    let [a, b, c, d] = first.to_le_bytes();
    [a, b, c, d, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46]
}

/// The type of a compound file.
pub(super) fn kind(bytes: &[u8]) -> &'static str {
    let known = class(bytes).and_then(|class| CLASSES.iter().find(|(known, _)| *known == class));
    match known {
        Some((_, kind)) => kind,
        // The directory of a workbook often stands at its end, past what was read; its stream begins the data, with
        // the beginning-of-file record of BIFF8 ([MS-XLS] 2.4.21).
        None if bytes.get(512..).is_some_and(|data| data.starts_with(b"\x09\x08\x10\x00\x00\x06")) => {
            "application/vnd.ms-excel"
        }
        None => STORAGE,
    }
}

fn class(bytes: &[u8]) -> Option<[u8; 16]> {
    let shift = u16::from_le_bytes(*bytes.get(30..)?.first_chunk()?);
    let sector = u32::from_le_bytes(*bytes.get(48..)?.first_chunk()?);
    // Sectors have 512 or 4096 bytes, and the header stands in front of the first.
    let size = match shift {
        9 => 512_usize,
        12 => 4096,
        _ => return None,
    };
    let at = usize::try_from(sector).ok()?.checked_add(1)?.checked_mul(size)?.checked_add(CLASS_AT)?;
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_the_root_entry_tells_the_type() {
        let mut file = vec![0; 2048];
        file[..8].copy_from_slice(MARK);
        file[30] = 9;
        file[48] = 1;
        assert_eq!(kind(&file), STORAGE);
        file[1024 + CLASS_AT..1024 + CLASS_AT + 16].copy_from_slice(&office(0x000c_1084));
        assert_eq!(kind(&file), "application/x-msi");
        for sector in [0xff, 0x7f] {
            file[48..52].fill(sector);
            assert_eq!(kind(&file), STORAGE);
        }
        assert_eq!(kind(MARK), STORAGE);
    }
}
