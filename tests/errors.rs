//! Every error that a user can cause: what it says, what to do about it, and its exit code.

#[path = "support/place.rs"]
mod place;

use std::path::Path;
use std::process::{Command, Stdio};

use place::{Ended, Place};

/// Arguments, exit code, what the message has, what the hint has.
type Case = (&'static [&'static str], i32, &'static str, &'static str);

const UNUSABLE: &str = "--database";

/// What is wrong with the arguments themselves.
const ARGUMENTS: &[Case] = &[
    (&["scam"], 2, "unrecognized subcommand", "`safeurl --help`"),
    (&["jobs", "lst"], 2, "unrecognized subcommand", "list"),
    (
        &["jobs", "list", "--state", "gone"],
        2,
        "invalid value 'gone' for '--state <STATE>'",
        "`safeurl jobs list --help`",
    ),
    (&["jobs", "list", "--class", "dnz"], 2, "invalid value 'dnz'", "dns"),
    (&["jobs", "list", "--verdict", "bad"], 2, "invalid value 'bad'", "`safeurl jobs list --help`"),
    (&["jobs", "list", "--since", "yesterday"], 2, "2026-11-21", "`safeurl jobs list --help`"),
    (&["jobs", "list", "--limit", "0"], 2, "0 is not in 1..", "`safeurl jobs list --help`"),
    (&["jobs", "list", "--watch", "0"], 2, "between 0.1 and 3600 seconds", "`safeurl jobs list --help`"),
    (&["jobs", "list", "--domain", "a b"], 2, "white space", "`safeurl jobs list --help`"),
    (
        &["jobs", "list", "--after", "x", "--offset", "1"],
        2,
        "cannot be used with",
        "`safeurl jobs list --help`",
    ),
    (&["jobs", "list", "--stat", "queued"], 2, "unexpected argument '--stat'", "--state"),
    (
        &["jobs", "wait", "--timeout", "5 parsecs", "ID"],
        2,
        "invalid value '5 parsecs'",
        "`safeurl jobs wait --help`",
    ),
    (&["jobs", "show"], 2, "<ID>", "`safeurl jobs show --help`"),
    (&["jobs", "retry"], 2, "no job is named", "--dry-run"),
    (&["jobs", "cancel"], 2, "no job is named", "`safeurl jobs list`"),
    (&["jobs", "retry", "ID", "--state", "failed"], 2, "by id and by what", "leave out"),
    (&["jobs", "retry", "--state", "queued"], 2, "jobs in QUEUED cannot be tried again", "FAILED, TIMED_OUT"),
    (&["jobs", "cancel", "--state", "completed"], 2, "jobs in COMPLETED cannot be cancelled", "QUEUED"),
    (&["jobs", "export", "--format", "xml"], 2, "invalid value 'xml'", "`safeurl jobs export --help`"),
    (&["completions", "tcsh"], 2, "invalid value 'tcsh'", "`safeurl completions --help`"),
    (&["submit"], 2, "required arguments were not provided", "`safeurl submit --help`"),
    (&["bench", "--runs", "0"], 2, "a whole number from 1 to 10000", "`safeurl bench --help`"),
    (&["bench", "--scans", "many"], 2, "a whole number from 1 to 100000", "`safeurl bench --help`"),
    (&["bench", "--only", "nothing"], 2, "invalid value 'nothing'", "`safeurl bench --help`"),
    (&["scan", "ftp://a.example/"], 2, "the scheme 'ftp' is not supported", "http and https"),
    (&["config", "show", "--timeout", "1ms"], 2, "--timeout", "hint: "),
    (&["config", "show", "--memory", "lots"], 2, "--memory", "hint: "),
    (&["egress", "check", "--allow-net", "x", "1.1.1.1"], 2, "--allow-net", "hint: "),
];

/// What is wrong with files and databases.
const FILES: &[Case] = &[
    (&["config", "show", "--config", "missing.toml"], 2, "cannot read the configuration file", "--config"),
    (&["config", "show", "--config", "broken.toml"], 2, "broken.toml:1", "TOML"),
    (&["config", "show", "--config", "unknown.toml"], 2, "unknown.toml:2", "timeout"),
    (&["jobs", "list", "--database", "none.db"], 1, "there is no database at", "`safeurl db migrate`"),
    (&["jobs", "list", "--database", "letter.db"], 1, "not a database", UNUSABLE),
    (&["stats", "--database", "foreign.db"], 1, "existing installation", "`safeurl db migrate`"),
    (&["jobs", "list", "--database", "newer.db"], 1, "schema 99", "use a newer safeurl"),
    (&["db", "migrate", "--database", "newer.db"], 1, "schema 99", "use a newer safeurl"),
    (
        &["submit", "--database", "wss://db.example", "a.example"],
        2,
        "is a web socket",
        "`safeurl config show`",
    ),
    (
        &["submit", "--database", "mysql://db.example", "a.example"],
        2,
        "unknown scheme",
        "`safeurl config show`",
    ),
    (&["submit", "--database", "no/such/folder/x.db", "a.example"], 1, "cannot be opened", UNUSABLE),
    (&["submit", "--database", "file:.", "a.example"], 1, "cannot be opened", UNUSABLE),
    (&["submit", "--file", "no-list"], 1, "cannot read no-list", "check the name"),
    (&["jobs", "show", "0000000000"], 1, "there is no job 0000000000", "`safeurl jobs list`"),
    (&["jobs", "logs", "nothing"], 1, "there is no job nothing", "`safeurl jobs list`"),
    (&["jobs", "wait", "nothing"], 1, "there is no job nothing", "`safeurl jobs list`"),
    (&["jobs", "cancel", "nothing"], 1, "there is no such job", "`safeurl jobs list`"),
    (&["jobs", "show", ""], 2, "id", "`safeurl jobs list`"),
    (&["jobs", "list", "--after", "nothing"], 1, "there is no job nothing", "`safeurl jobs list`"),
    (
        &["jobs", "export", "--output", "no/such/folder/x"],
        1,
        "cannot write no/such/folder/x",
        "redirect stdout",
    ),
    (&["jobs", "export", "--output", "."], 2, "is not a file", "redirect stdout"),
    (&["man", "--output", "letter.db/man"], 1, "cannot make the folder", "--output"),
    (&["image", "stage", "letter.db/image"], 1, "cannot write", "folder"),
    (&["bench", "--dir", "no/such/folder"], 1, "there is no folder no/such/folder", "--dir"),
];

/// What is wrong with the engine, or with the image on it.
const ENGINE: &[Case] = &[
    (&["image", "show"], 1, "does not answer", "`safeurl doctor`"),
    (&["image", "build"], 1, "does not answer", "`safeurl doctor`"),
    (&["scan", "a.example"], 1, "does not answer", "`safeurl doctor`"),
    (&["bench"], 1, "does not answer", "`safeurl doctor`"),
];

fn stage(name: &str) -> Place {
    let place = Place::new(name);
    place.write("broken.toml", "[sandbox\n").write("unknown.toml", "[sandbox]\ntimeot = \"1s\"\n");
    place.write(
        "letter.db",
        "this is a letter and no database, however long it goes on and on and on and on and on",
    );
    let migrated = place.run(&["db", "migrate"]);
    assert_eq!(migrated.code, Some(0), "{}", migrated.err);
    place
}

/// Runs a script on a database of its own, as another program would.
fn write_database(path: &Path, script: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let database = libsql::Builder::new_local(path).build().await.expect("a database");
        database.connect().expect("a connection").execute_batch(script).await.expect("a script");
    });
}

fn check(ended: &Ended, (arguments, code, message, hint): &Case) {
    let Ended { out, err, .. } = ended;
    assert_eq!((ended.code, out.as_str()), (Some(*code), ""), "{arguments:?}: {err}");
    assert!(err.starts_with("error: "), "{arguments:?}: {err}");
    assert!(err.contains(message), "{arguments:?} lacks {message:?}: {err}");
    let hints: Vec<_> = err.lines().filter(|line| line.starts_with("hint: ")).collect();
    assert!(hints.iter().any(|line| line.contains(hint)), "{arguments:?} has no hint of {hint:?}: {err}");
}

#[test]
fn every_wrong_argument_says_what_is_taken() {
    let place = stage("errors-arguments");
    for case in ARGUMENTS {
        check(&place.run(case.0), case);
    }
}

#[test]
fn every_file_that_cannot_be_used_says_what_to_do() {
    let place = stage("errors-files");
    write_database(&place.0.join("foreign.db"), include_str!("fixtures/existing.sql"));
    write_database(
        &place.0.join("newer.db"),
        "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
         INSERT INTO meta VALUES ('schema', '99');",
    );
    for case in FILES {
        check(&place.run(case.0), case);
    }
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_what_to_do() {
    let place = stage("errors-engine");
    for case in ENGINE {
        let command = place.safeurl(case.0).env("DOCKER_HOST", "unix:///nowhere.sock").output();
        check(&Ended::from(command.expect("it starts")), case);
    }
}

#[test]
fn a_locked_database_is_told_as_busy() {
    let place = stage("errors-locked");
    let path = place.0.join("local.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let database = libsql::Builder::new_local(path).build().await.expect("a database");
        let holder = database.connect().expect("a connection");
        holder.execute_batch("BEGIN IMMEDIATE").await.expect("a lock");
        let mut command: Command = place.safeurl(&["submit", "http://a.example/"]);
        let ended = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("it starts");
        check(&Ended::from(ended), &(&["submit"], 1, "the database is busy", "keeps it locked"));
        holder.execute_batch("ROLLBACK").await.expect("an end");
    });
}

#[test]
fn text_of_others_in_an_argument_does_not_steer_the_terminal() {
    let place = stage("errors-escapes");
    for arguments in
        [&["\u{1b}[2J"][..], &["jobs", "list", "--state", "\u{1b}[2J"], &["jobs", "show", "\u{1b}[2Jxxxxx"]]
    {
        let ended = place.run(arguments);
        assert!(ended.err.contains("error: ") && !ended.err.contains('\u{1b}'), "{:?}", ended.err);
    }
}
