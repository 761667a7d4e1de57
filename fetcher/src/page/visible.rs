//! What a person sees of an element, by its attributes and its inline style; style sheets are not read.

use super::dom::Element;

/// A browser that runs scripts does not act on what is in here.
pub(super) fn is_inert(element: &Element) -> bool {
    matches!(element.html(), "template" | "noscript")
}

pub(super) fn is_unseen(element: &Element) -> bool {
    matches!(
        element.html(),
        "head" | "title" | "script" | "style" | "template" | "noscript" | "iframe" | "noframes" | "datalist"
    ) || is_hidden(element)
}

/// Hidden itself; a frame also by being tiny or out of the window.
pub(super) fn is_hidden(element: &Element) -> bool {
    let tiny = |name: &str| {
        let digits = element.attribute(name).map(str::trim).unwrap_or_default().trim_end_matches("px");
        matches!(digits.parse::<f32>(), Ok(size) if size <= 1.0)
    };
    let frame = matches!(element.html(), "iframe" | "frame");
    element.attribute("hidden").is_some()
        || element.attribute("style").is_some_and(|style| hides(style, frame))
        || (frame && (tiny("width") || tiny("height")))
}

/// Hides what is in it: hidden itself, cut off at no size, or out of the window.
pub(super) fn conceals(element: &Element) -> bool {
    is_hidden(element) || element.attribute("style").is_some_and(cuts_off)
}

/// A box of no size shows nothing when what overflows it is hidden, unless its padding gives it one: that is how
/// films get a box of fixed proportions.
fn cuts_off(style: &str) -> bool {
    let (mut tiny, mut clipped, mut padded, mut away) = (false, false, false, false);
    for (name, value) in style.split(';').filter_map(|rule| rule.split_once(':')) {
        let value = value.trim().trim_end_matches("!important").trim().to_ascii_lowercase();
        let size = || value.trim_end_matches("px").parse::<f32>();
        match name.trim().to_ascii_lowercase().as_str() {
            "width" | "height" => tiny |= size().is_ok_and(|size| size <= 1.0),
            "overflow" => clipped |= matches!(value.as_str(), "hidden" | "clip"),
            "left" | "top" => away |= size().is_ok_and(|size| size <= -500.0),
            name => padded |= name.starts_with("padding"),
        }
    }
    away || (tiny && clipped && !padded)
}

/// Shown from its end to its beginning, a way to keep programs from reading an address.
pub(super) fn is_reversed(element: &Element) -> bool {
    if element.html() == "bdo" {
        return element.attribute("dir").is_some_and(|value| value.trim().eq_ignore_ascii_case("rtl"));
    }
    element.attribute("style").is_some_and(|style| {
        let style = crate::report::prefix(style, 1024).to_ascii_lowercase();
        style.contains("bidi-override") && style.contains("rtl")
    })
}

fn hides(style: &str, frame: bool) -> bool {
    style.split(';').filter_map(|rule| rule.split_once(':')).any(|(name, value)| {
        let value = value.trim().trim_end_matches("!important").trim().to_ascii_lowercase();
        let size = || value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%').parse::<f32>();
        match name.trim().to_ascii_lowercase().as_str() {
            "display" => value == "none",
            "visibility" => value == "hidden" || value == "collapse",
            "opacity" => size().is_ok_and(|size| size == 0.0),
            "width" | "height" => frame && size().is_ok_and(|size| size <= 1.0),
            // Shown, but far outside of the window.
            "left" | "top" => frame && size().is_ok_and(|size| size <= -500.0),
            _ => false,
        }
    })
}

/// Elements whose border is inside a word as a person reads it.
pub(super) fn is_inline(element: &Element) -> bool {
    matches!(
        element.html(),
        "a" | "abbr"
            | "b"
            | "bdi"
            | "bdo"
            | "big"
            | "cite"
            | "code"
            | "em"
            | "font"
            | "i"
            | "ins"
            | "del"
            | "kbd"
            | "label"
            | "mark"
            | "q"
            | "s"
            | "small"
            | "span"
            | "strike"
            | "strong"
            | "sub"
            | "sup"
            | "tt"
            | "u"
            | "var"
            | "wbr"
    )
}
