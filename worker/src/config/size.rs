//! A number of bytes that is written with its unit.
//!
//! Owns how sizes are read and shown. Refuses numbers without a unit: 512 may be bytes or megabytes, and one of the
//! two readings gives a container no memory.

use std::fmt;
use std::str::FromStr;

const UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// Digits alone.
    #[error("has no unit")]
    NoUnit,
    /// Something else follows the number, or there is none.
    #[error("is not a size")]
    NotASize,
    /// More than 64 bits hold.
    #[error("is too large")]
    TooLarge,
}

impl ByteSize {
    /// This many bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// This many times 1024 bytes.
    #[must_use]
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// This many times 1024² bytes.
    #[must_use]
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// This many times 1024³ bytes.
    #[must_use]
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// In bytes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ByteSizeError::NotASize);
        }
        let unit = unit.trim_start();
        if unit.is_empty() {
            return Err(ByteSizeError::NoUnit);
        }
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(ByteSizeError::NotASize)?;
        let number: u64 = number.parse().map_err(|_| ByteSizeError::TooLarge)?;
        number.checked_mul(*factor).map(Self).ok_or(ByteSizeError::TooLarge)
    }
}

impl fmt::Display for ByteSize {
    /// With the largest binary unit that leaves no remainder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..5].iter().rev();
        let (unit, factor) = binary
            .copied()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        for (text, bytes) in
            [("0B", 0), ("512MiB", 512 << 20), ("10 MB", 10_000_000), (" 1GiB ", 1 << 30), ("3kB", 3000)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn sizes_without_unit_or_sense_are_refused() {
        for (text, error) in [
            ("512", ByteSizeError::NoUnit),
            ("", ByteSizeError::NotASize),
            ("MiB", ByteSizeError::NotASize),
            ("-1MiB", ByteSizeError::NotASize),
            ("1.5MiB", ByteSizeError::NotASize),
            ("5mib", ByteSizeError::NotASize),
            ("99999999999999999999B", ByteSizeError::TooLarge),
            ("99999999999TiB", ByteSizeError::TooLarge),
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(error), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back_as_the_same_size() {
        for bytes in [0, 1, 1023, 1024, 1536, 10 << 20, 1 << 30, u64::MAX] {
            let size = ByteSize(bytes);
            assert_eq!(size.to_string().parse(), Ok(size), "{size}");
        }
        assert_eq!(ByteSize::mib(512).to_string(), "512MiB");
        assert_eq!(ByteSize::bytes(1_000_000).to_string(), "1000000B");
    }
}
