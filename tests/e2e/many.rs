//! `safeurl scan` of many URLs: lists, what is printed as they end, terminals, and ^C in the middle.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::leftovers;
use crate::site::{Answer, Site, article};
use crate::stage::{Stage, Worker};
use crate::terminal::OnTerminal;

fn scan(stage: &Stage, args: &[&str]) -> Command {
    let mut command = stage.command(["scan"]);
    command.args(args);
    command
}

#[test]
fn lists_are_read_from_files_and_stdin_each_url_once_and_a_bad_line_is_named() {
    let site = Site::start(article);
    let stage = Stage::new();
    let list = stage.dir.join("list.txt");
    let text = format!("\u{feff}{}\r\n\r\n# {}\r\nftp://b.test/\r\n", site.url("/a"), site.url("/comment"));
    std::fs::write(&list, text).unwrap();
    let other = stage.dir.join("other.txt");
    std::fs::write(&other, site.url("/b")).unwrap();
    let (list, other) = (list.to_str().unwrap(), other.to_str().unwrap());
    let args = ["scan", "--csv", "--file", list, "-f", other, "-", &site.url("/c")];
    let ran = stage.feed(args, &format!("{}\nhxxp://{}/a\n", site.url("/d"), site.address));
    assert_eq!(ran.code, Some(2), "a bad line: {ran:?}");
    assert!(ran.err.contains(&format!("error: {list}: line 4: ")) && ran.err.contains("ftp"), "{}", ran.err);
    assert!(ran.err.contains("left out as repeated: 1\n"), "{}", ran.err);
    for (path, times) in [("/a", 1), ("/b", 1), ("/c", 1), ("/d", 1), ("/comment", 0)] {
        assert_eq!(site.hits(path), times, "{path}");
    }
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ran.out);
    assert!(lines[0].starts_with("url,state,verdict,score,"), "{}", lines[0]);
    assert!(lines[1..].iter().all(|line| line.contains(",COMPLETED,")), "{}", ran.out);
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn an_empty_list_and_one_that_is_not_there_are_told() {
    let stage = Stage::new();
    let empty = stage.feed(["scan", "-"], "# nothing\n");
    assert_eq!(empty.code, Some(2), "{empty:?}");
    assert!(empty.err.contains("no URL to scan") && empty.err.contains("hint:"), "{}", empty.err);
    let missing = stage.run(["scan", "--file", "no-such-list"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.err.contains("no-such-list"), "{}", missing.err);
}

#[test]
fn a_list_that_is_interrupted_prints_what_ended_and_names_the_rest() {
    for form in ["--csv", "--json", "--color=never"] {
        let site = Site::start(|path| if path == "/quick" { article("quick") } else { Answer::Silence });
        let stage = Stage::new();
        let urls = ["/quick", "/never", "/waits"].map(|path| site.url(path));
        let mut args = vec![form, "--concurrency", "1"];
        args.extend(urls.iter().map(String::as_str));
        let mut command = scan(&stage, &args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut scan = Worker(child);
        stage.wait_for_tables();
        let second = "SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING' AND url LIKE '%/never'";
        stage.wait_for(second, "1", Duration::from_secs(30));
        scan.signal("-INT");
        let (mut out, mut err) = (String::new(), String::new());
        std::io::Read::read_to_string(scan.0.stdout.as_mut().unwrap(), &mut out).unwrap();
        std::io::Read::read_to_string(scan.0.stderr.as_mut().unwrap(), &mut err).unwrap();
        assert_eq!(scan.end(), Some(130), "{form}: {err}");
        assert!(out.contains(&urls[0]), "{form}: {out}");
        assert!(!out.contains("/never") && !out.contains("/waits"), "{form}: {out}");
        let expected: String = urls[1..].iter().map(|url| format!("cancelled: {url}\n")).collect();
        assert_eq!(err, expected, "{form}");
        leftovers::none_within(&stage, Duration::from_secs(45));
    }
}

#[test]
fn a_long_list_is_stored_in_parts_and_cancelled_at_once() {
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    let list: String = (0..2_000).map(|n| format!("{}\n", site.url(&format!("/{n}")))).collect();
    std::fs::write(stage.dir.join("list"), list).unwrap();
    let mut command = scan(&stage, &["--file", "list", "--csv", "--concurrency", "2"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut scan = Worker(child);
    stage.wait_for_tables();
    stage.wait_for("SELECT count(*) FROM scan_jobs WHERE state = 'FETCHING'", "2", Duration::from_secs(30));
    assert_eq!(stage.query("SELECT count(*) FROM scan_jobs")[0][0], "256");
    scan.signal("-INT");
    let mut err = String::new();
    std::io::Read::read_to_string(scan.0.stderr.as_mut().unwrap(), &mut err).unwrap();
    assert_eq!(scan.end(), Some(130), "{err}");
    assert_eq!(err.lines().last(), Some("cancelled: and 1980 more"), "{err}");
    let left = "SELECT count(*) FROM scan_jobs WHERE failure_class IS NOT 'cancelled'";
    assert_eq!(stage.query(left)[0][0], "0");
    leftovers::none_within(&stage, Duration::from_secs(45));
}

#[test]
fn what_runs_is_drawn_on_a_terminal_and_leaves_the_table_alone() {
    let site = Site::start(|path| {
        std::thread::sleep(Duration::from_millis(400));
        article(path)
    });
    let stage = Stage::new();
    let urls = [site.url("/one"), site.url("/two")];
    let on = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = scan(&stage, &urls.each_ref().map(String::as_str));
        command.args(args).env("TERM", "xterm-256color").envs(variables.iter().copied());
        let (code, shown) = OnTerminal::start(command, 80).end();
        assert_eq!(code, Some(0), "{shown}");
        shown
    };
    const AWAY: &str = "\u{1b}[1A\u{1b}[2K";

    let shown = on(&[], &[]);
    assert!(shown.contains("/2 done") && shown.contains("fetching"), "{shown:?}");
    let (_, table) = shown.rsplit_once(AWAY).expect("what was drawn was taken away");
    assert!(table.contains("\u{1b}[32mbenign"), "{table:?}");
    assert!(table.contains("2 URLs") && !table.contains("fetching"), "{table:?}");

    let colourless = on(&[], &[("NO_COLOR", "1")]);
    let (_, table) = colourless.rsplit_once(AWAY).expect("it is drawn without colours, too");
    assert!(table.contains("2 URLs") && !table.contains('\u{1b}'), "{table:?}");

    for (args, variables) in [(&["--quiet", "--color", "never"][..], &[][..]), (&[], &[("TERM", "dumb")])] {
        let plain = on(args, variables);
        assert!(plain.starts_with("benign") && !plain.contains('\u{1b}'), "{plain:?}");
    }
}

#[test]
fn a_second_interrupt_does_not_wait_for_what_the_first_began() {
    const AWAY: &str = "\u{1b}[1A\u{1b}[2K";
    let site = Site::start(|_| Answer::Silence);
    let stage = Stage::new();
    let url = site.url("/never");
    let mut command = scan(&stage, &[&url, "--color", "never"]);
    command.env("TERM", "xterm-256color");
    let running = OnTerminal::start(command, 80);
    running.until(|shown| shown.contains("fetching"));
    // Nothing can be written down as cancelled while this holds the database.
    let (code, shown) = stage.while_locked(|| {
        running.interrupt();
        // Two that come at once are one.
        running.until(|shown| shown.contains("stopping what runs; ^C again does not wait"));
        running.interrupt();
        running.end()
    });
    assert_eq!(code, Some(130), "{shown:?}");
    let (_, last) = shown.rsplit_once(AWAY).expect("what was drawn was taken away");
    assert_eq!(last, format!("cancelled: {url}\r\n"), "{shown:?}");
    // Whoever comes once it counts as dead ends what it left, unless its own heartbeats were held up: then it judges
    // nobody, and the next one does.
    let dead =
        "SELECT count(*) FROM workers WHERE heartbeat_ms < (julianday('now') - 2440587.5) * 86400000 - 6000";
    stage.wait_for(dead, "1", Duration::from_secs(45));
    let quick = Site::start(|_| article("quick"));
    let comes = || {
        assert_eq!(stage.run(["scan", &quick.url("/quick"), "--json"]).code, Some(0));
        leftovers::gone_within(&stage, Duration::from_secs(5))
    };
    if !(0..3).any(|_| comes()) {
        leftovers::none_within(&stage, Duration::ZERO);
    }
}
