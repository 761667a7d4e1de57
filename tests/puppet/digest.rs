//! SHA-256 as in FIPS 180-4; the puppet has no other crate than std.

/// The first 32 bits of the fractional parts of a root of a prime, the way the standard defines its constants.
fn fraction(prime: u32, root: f64) -> u32 {
    // Doubles hold 32 bits of the fraction of these roots exactly enough: the largest is 311^(1/3) < 8.
    let value = f64::from(prime).powf(1.0 / root);
    (value.fract() * 4_294_967_296.0) as u32
}

fn primes() -> impl Iterator<Item = u32> {
    (2_u32..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// In lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let constants: Vec<u32> = primes().take(64).map(|prime| fraction(prime, 3.0)).collect();
    let mut state: Vec<u32> = primes().take(8).map(|prime| fraction(prime, 2.0)).collect();
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        compress(&mut state, block, &constants);
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

fn compress(state: &mut [u32], block: &[u8], constants: &[u32]) {
    let mut words: Vec<u32> = block
        .chunks_exact(4)
        .map(|four| four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
        .collect();
    for n in 16..64 {
        let (near, far) = (words[n - 15], words[n - 2]);
        let first = near.rotate_right(7) ^ near.rotate_right(18) ^ (near >> 3);
        let second = far.rotate_right(17) ^ far.rotate_right(19) ^ (far >> 10);
        words.push(words[n - 16].wrapping_add(first).wrapping_add(words[n - 7]).wrapping_add(second));
    }
    let mut v = state.to_vec();
    for (word, constant) in words.iter().zip(constants) {
        let big1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
        let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
        let sum = v[7].wrapping_add(big1).wrapping_add(choice).wrapping_add(*constant).wrapping_add(*word);
        let big0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
        let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        v.rotate_right(1);
        v[4] = v[4].wrapping_add(sum);
        v[0] = sum.wrapping_add(big0).wrapping_add(majority);
    }
    for (word, more) in state.iter_mut().zip(v) {
        *word = word.wrapping_add(more);
    }
}
