//! Host names as a person reads them: punycode undone, words told apart, letters that look alike made equal.

/// The Unicode text of one label; the label itself when it is not punycode or does not decode.
///
/// RFC 3492; a label has at most 63 bytes, so nothing here grows.
pub(super) fn readable_label(label: &str) -> String {
    label.strip_prefix("xn--").and_then(decode_punycode).unwrap_or_else(|| label.to_owned())
}

/// A host name with every label readable.
pub(super) fn readable_host(host: &str) -> String {
    host.split('.').map(readable_label).collect::<Vec<_>>().join(".")
}

fn decode_punycode(encoded: &str) -> Option<String> {
    const BASE: u32 = 36;
    const TMIN: u32 = 1;
    const TMAX: u32 = 26;
    if encoded.len() > 63 {
        return None;
    }
    let (basic, extended) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut output: Vec<char> = basic.chars().collect();
    let mut digits = extended.bytes();
    let (mut n, mut i, mut bias) = (128_u32, 0_u32, 72_u32);
    while digits.len() > 0 {
        let old = i;
        let mut weight = 1_u32;
        for k in (1..).map(|step: u32| step * BASE) {
            let digit = match digits.next()? {
                letter @ b'a'..=b'z' => u32::from(letter - b'a'),
                number @ b'0'..=b'9' => u32::from(number - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(TMIN, TMAX);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
        }
        let length = u32::try_from(output.len()).ok()? + 1;
        bias = adapt(i - old, length, old == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        output.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(output.into_iter().collect())
}

fn adapt(delta: u32, length: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

/// Letters of scripts that share shapes with Latin, in one label with Latin or with each other. Japanese, Korean
/// and Chinese names mix their scripts and Latin by custom and are left alone.
pub(super) fn mixes_scripts(label: &str) -> bool {
    let (mut latin, mut cyrillic, mut greek, mut other) = (false, false, false, false);
    for character in label.chars().filter(|c| c.is_alphabetic()) {
        match character {
            'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => latin = true,
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => greek = true,
            '\u{400}'..='\u{52f}' => cyrillic = true,
            // Armenian, Georgian, Cherokee, Lisu, Deseret-like shapes and full-width forms.
            '\u{530}'..='\u{58f}'
            | '\u{10a0}'..='\u{10ff}'
            | '\u{13a0}'..='\u{13ff}'
            | '\u{a4d0}'..='\u{a4ff}' => {
                other = true;
            }
            _ => {}
        }
    }
    [latin, cyrillic, greek, other].into_iter().filter(|seen| *seen).count() > 1
}

/// What a hurried reader takes the text for: lower case, accents and look-alikes as plain Latin letters.
pub(super) fn skeleton(text: &str) -> String {
    let plain: String = text.chars().flat_map(char::to_lowercase).map(plain_letter).collect();
    plain.replace("rn", "m").replace("vv", "w")
}

/// The Latin letter a character is read as. From the Unicode confusables table (UTS #39), the part that occurs in
/// registered names, plus digits that stand for letters.
const fn plain_letter(character: char) -> char {
    match character {
        '4' | 'à'..='å' | 'ā' | 'ă' | 'ą' | 'а' | 'α' | 'ạ' | 'ɑ' => 'a',
        'ь' | 'Ь' | 'ƅ' => 'b',
        'ç' | 'ć' | 'č' | 'с' | 'ϲ' => 'c',
        'ď' | 'đ' | 'ԁ' => 'd',
        '3' | 'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' | 'е' | 'ё' | 'ε' | 'ẹ' => 'e',
        'ğ' | 'ġ' | 'ģ' | 'ɡ' => 'g',
        'һ' | 'ħ' => 'h',
        '1'
        | 'l'
        | '!'
        | '|'
        | 'ì'..='ï'
        | 'ī'
        | 'į'
        | 'ı'
        | 'і'
        | 'ї'
        | 'ι'
        | 'ӏ'
        | 'ł'
        | 'ĺ'
        | 'ļ'
        | 'i' => 'l',
        'ј' => 'j',
        'ķ' | 'к' | 'κ' => 'k',
        'м' => 'm',
        'ñ' | 'ń' | 'ņ' | 'ň' | 'п' | 'η' => 'n',
        '0' | 'ò'..='ö' | 'ø' | 'ō' | 'ő' | 'о' | 'ο' | 'ọ' | 'օ' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'ŕ' | 'ř' | 'г' => 'r',
        '5' | 'ś' | 'ş' | 'š' | 'ѕ' | 'ș' => 's',
        '7' | 'ţ' | 'ť' | 'т' | 'τ' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' | 'υ' => 'u',
        'ν' | 'ѵ' => 'v',
        'ŵ' | 'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'ý' | 'ÿ' | 'у' | 'γ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

/// One letter too many, too few, changed, or two neighbours swapped. The first letter is kept: who wants to be
/// mistaken for a name keeps it, and without it the name of a brand often is a word (`icloud`, `tmobile`).
pub(super) fn is_one_slip_away(a: &str, b: &str) -> bool {
    if a.len().abs_diff(b.len()) > 4 || a.chars().next() != b.chars().next() {
        return false;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    let same = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let (short, long) = (&short[same..], &long[same..]);
    match (short.len(), long.len()) {
        (0, 0) => false,
        (s, l) if s == l => {
            short[1..] == long[1..]
                || (s >= 2 && short[0] == long[1] && short[1] == long[0] && short[2..] == long[2..])
        }
        (s, l) if s + 1 == l => *short == long[1..],
        _ => false,
    }
}

/// The words of a name or path: runs of letters and digits, lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn punycode_is_undone() {
        for (label, text) in [
            ("xn--bcher-kva", "bücher"),
            ("xn--80ak6aa92e", "аррӏе"),
            ("xn--pypal-4ve", "pаypal"),
            ("xn--fiqs8s", "中国"),
            ("xn--", ""),
            ("xn--99999999999999", "xn--99999999999999"),
            ("plain", "plain"),
        ] {
            assert_eq!(readable_label(label), text);
        }
    }

    #[test]
    fn latin_with_cyrillic_is_mixed_and_customary_mixtures_are_not() {
        for (label, mixed) in [
            ("pаypal", true),
            ("gοogle", true),
            ("аррӏе", false),
            ("bücher", false),
            ("東京tokyo", false),
            ("a1-b", false),
        ] {
            assert_eq!(mixes_scripts(label), mixed, "{label}");
        }
    }

    #[test]
    fn letters_that_look_alike_have_one_skeleton() {
        for (a, b) in
            [("pаypa1", "paypal"), ("rnicrosoft", "microsoft"), ("аррӏе", "apple"), ("g00gle", "google")]
        {
            assert_eq!(skeleton(a), skeleton(b), "{a}");
        }
        assert_ne!(skeleton("paypay"), skeleton("paypal"));
    }

    #[test]
    fn one_slip_is_one_letter() {
        for (a, b, slip) in [
            ("paypal", "paypall", true),
            ("paypal", "payal", true),
            ("paypal", "papyal", true),
            ("paypal", "paybal", true),
            ("paypal", "paypal", false),
            ("paypal", "pypall", false),
            ("", "a", false),
            ("cloud", "icloud", false),
            ("", "", false),
        ] {
            assert_eq!(is_one_slip_away(a, b), slip, "{a} {b}");
            assert_eq!(is_one_slip_away(b, a), slip, "{b} {a}");
        }
    }

    proptest! {
        #[test]
        fn no_label_panics(label in "(xn--)?[a-z0-9-]{0,70}|\\PC{0,20}") {
            let _ = (readable_label(&label), mixes_scripts(&label), skeleton(&label), is_one_slip_away(&label, "paypal"));
        }
    }
}
