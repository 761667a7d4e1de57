//! Changes seeds at random, by numbers that a seed of its own decides: the same input comes out on every machine.

/// Longer inputs say nothing more.
const MAX_BYTES: usize = 16 * 1024;

/// Words that parsers stumble over, whatever they parse.
const WORDS: [&[u8]; 56] = [
    b"\0",
    b"\r\n",
    b"\n\n",
    b"\r\n\r\n",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xfe\xff",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\x1b[31m",
    "\u{202e}".as_bytes(),
    "\u{130}".as_bytes(),
    "\u{2028}".as_bytes(),
    "ß".as_bytes(),
    "xn--".as_bytes(),
    b"\"",
    b"'",
    b"`",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"{",
    b"}",
    b"[[[[[[[[",
    b"]",
    b"<",
    b">",
    b"</script>",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"&#x",
    b"&amp;",
    b"%",
    b"%00",
    b"%2e%2e",
    b"../",
    b":",
    b"::1",
    b"@",
    b"#",
    b"?",
    b"=",
    b";",
    b",",
    b"*",
    b"-",
    b"null",
    b"true",
    b"1e999",
    b"NaN",
    b"-1",
    b"18446744073709551616",
    b"9223372036854775807",
    b"4294967296",
    b"65536",
];

/// FNV-1a, which is the same everywhere.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Makes inputs out of seeds.
pub(super) struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutator<'a> {
    pub(super) fn new(name: &str, chosen: u64, seeds: &'a [Vec<u8>]) -> Self {
        Self { seeds, state: hash(name.as_bytes()) ^ chosen.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// A seed with one to six changes; one is the most likely, since more of them seldom leave anything to parse.
    pub(super) fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        loop {
            self.change(&mut input);
            if self.below(2) == 0 {
                break;
            }
        }
        input.truncate(MAX_BYTES);
        input
    }

    /// SplitMix64.
    fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one less than `end`; 0 for none.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.number() % end).unwrap_or_default()
    }

    fn seed(&mut self) -> &'a [u8] {
        let at = self.below(self.seeds.len());
        &self.seeds[at]
    }

    /// A piece of at most `most` bytes.
    fn piece(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let end = start + self.below((length - start).min(most) + 1);
        start..end
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let length = input.len();
        match self.below(10) {
            0 | 1 if length > 0 => {
                let (at, bit) = (self.below(length), self.below(8));
                input[at] ^= 1 << bit;
            }
            2 if length > 0 => {
                let at = self.below(length);
                input[at] = self.number().to_le_bytes()[0];
            }
            3 => drop(input.drain(self.piece(length, 32))),
            4 => input.truncate(self.below(length + 1)),
            5 => {
                let piece = self.piece(length, 64);
                let copies = input[piece.clone()].repeat(1 + self.below(20));
                input.splice(piece.end..piece.end, copies);
            }
            6 => {
                let other = self.seed();
                let (from, to) = (self.piece(other.len(), 512), self.piece(length, 64));
                input.splice(to, other[from].iter().copied());
            }
            7 => self.digits(input),
            8 if length > 0 => {
                // A word in the place of as many bytes keeps lengths right.
                let word = WORDS[self.below(WORDS.len())];
                let at = self.below(length);
                let end = (at + word.len()).min(length);
                input[at..end].copy_from_slice(&word[..end - at]);
            }
            _ => {
                let (word, at) = (WORDS[self.below(WORDS.len())], self.below(length + 1));
                input.splice(at..at, word.iter().copied());
            }
        }
    }

    /// Another number in the place of one.
    fn digits(&mut self, input: &mut Vec<u8>) {
        let starts: Vec<_> = (0..input.len())
            .filter(|at| input[*at].is_ascii_digit() && (*at == 0 || !input[at - 1].is_ascii_digit()))
            .collect();
        let Some(start) = starts.get(self.below(starts.len())).copied() else { return };
        let end = start + input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = match self.below(4) {
            0 => "0".to_owned(),
            1 => self.below(70_000).to_string(),
            2 => (1_u64 << self.below(64)).to_string(),
            _ => self.number().to_string(),
        };
        input.splice(start..end, number.into_bytes());
    }
}
