//! Memory that reading one page takes, seen from outside: the container has little of it.
//!
//! One test alone in its process, since the kernel counts for the process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

/// The memory limit of a container leaves this much for a page of one megabyte.
const LIMIT_KB: u64 = 32 * 1024;

fn kilobytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_page_of_a_megabyte_takes_less_than_32_megabytes() {
    // Warm, so that what is loaded once is not counted.
    safeurl_fetcher::page_facts(b"<title>x</title><script>x='a'</script>a@b.org", "http://a.test/").unwrap();
    let before = kilobytes("VmRSS");
    for piece in [
        "<a href=/x>x</a>",
        "<p>x",
        "<script>a='b'+c;</script>",
        "a@b.org +49 30 901820 ",
        "<p a b c d e f>",
        "<iframe srcdoc='<p>x</p>'></iframe>",
    ] {
        let html = piece.repeat(1024 * 1024 / piece.len());
        safeurl_fetcher::page_facts(html.as_bytes(), "http://a.test/").unwrap();
        let used = kilobytes("VmHWM").saturating_sub(before);
        println!("{used} kB after {piece:?}");
        assert!(used < LIMIT_KB, "{used} kB for pages of {piece:?}");
    }
    for around in
        [("<script>", ";", "</script>"), ("<a href=\"", "x", "\">"), ("<iframe srcdoc=\"", "<p>", "\">")]
    {
        let html = format!("{}{}{}", around.0, around.1.repeat(1024 * 1024 / around.1.len()), around.2);
        safeurl_fetcher::page_facts(html.as_bytes(), "http://a.test/").unwrap();
        let used = kilobytes("VmHWM").saturating_sub(before);
        println!("{used} kB after {around:?}");
        assert!(used < LIMIT_KB, "{used} kB for {around:?}");
    }
}
