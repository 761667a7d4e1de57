//! Each list that holds less than there was is named, and none that holds all.

use super::*;
use crate::page::comment::MAX_COMMENTS;
use crate::page::contact::{MAX_EMAILS, MAX_PHONES};
use crate::page::marker::MAX_MARKERS;
use crate::page::script::MAX_REDIRECTS;

/// Pieces of a page, each with its own number.
fn pieces(piece: &str, times: usize) -> String {
    (0..times).map(|n| piece.replace('N', &format!("{n:07}"))).collect()
}

/// How many entries of a list are kept of a page.
type Kept = fn(&Features) -> usize;

#[test]
fn each_list_that_is_full_is_named_once_it_has_left_something_out() {
    let lists: [(&str, usize, &str, Kept); 12] = [
        ("emails", MAX_EMAILS, "<p>aN@b.org", |all| all.emails.len()),
        ("phones", MAX_PHONES, "<a href=tel:+4930N>x</a>", |all| all.phones.len()),
        ("markers", MAX_MARKERS, "<script>x('GTM-AN')</script>", |all| all.markers.len()),
        ("possibleRedirects", MAX_REDIRECTS, "<p onclick=\"location='/N'\">", |all| {
            all.possible_redirects.len()
        }),
        ("comments", MAX_COMMENTS, "<!-- saved from url=(0014)http://N/ -->", |all| all.comments.len()),
        ("embedded", MAX_EMBEDDED, "<iframe src='data:text/plain,N'></iframe>", |all| all.embedded.len()),
        ("meta", 100, "<meta name=N content=x>", |all| all.meta.len()),
        ("openGraph", 100, "<meta property=og:N content=x>", |all| all.open_graph.len()),
        ("jsonLd", 50, "<script type=application/ld+json>{\"@type\":\"TN\"}</script>", |all| {
            all.json_ld.len()
        }),
        ("scripts", MAX_SCRIPTS, "<script src=/N></script>", |all| all.scripts.len()),
        ("iframes", MAX_FRAMES, "<iframe src=/N></iframe>", |all| all.iframes.len()),
        ("resources", MAX_RESOURCES, "<img src=/N>", |all| all.resources.len()),
    ];
    for (name, most, piece, kept) in lists {
        let full = features(&pieces(piece, most));
        assert_eq!((kept(&full), full.capped.as_slice()), (most, &[][..]), "{name}");
        let more = features(&pieces(piece, most + 1));
        let named = more.capped.iter().filter(|capped| *capped == name).count();
        assert_eq!((kept(&more), named), (most, 1), "{name}: {:?}", more.capped);
    }
}
