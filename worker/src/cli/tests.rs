use clap::{Args as _, Command, CommandFactory};

use super::*;

/// Every command with its arguments, also one that is not offered yet.
fn root() -> Command {
    let known = [
        scan::Args::augment_args(Command::new("scan")),
        worker::Args::augment_args(Command::new("worker")),
        submit::Args::augment_args(Command::new("submit")),
        jobs::Args::augment_args(Command::new("jobs")),
        image::Args::augment_args(Command::new("image")),
        db::Args::augment_args(Command::new("db")),
        doctor::Args::augment_args(Command::new("doctor")),
        egress::Args::augment_args(Command::new("egress")),
    ];
    known.into_iter().fold(Cli::command(), |root, command| {
        if root.find_subcommand(command.get_name()).is_some() { root } else { root.subcommand(command) }
    })
}

fn pages(command: &mut Command, path: &str, pages: &mut Vec<(String, String)>) {
    let help = command.clone().bin_name(path).term_width(100).render_long_help().to_string();
    pages.push((path.to_owned(), help));
    let offered = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let below: Vec<_> = offered.map(|sub| sub.get_name().to_owned()).collect();
    for name in below.iter().filter(|name| *name != "help") {
        if let Some(sub) = command.find_subcommand_mut(name) {
            self::pages(sub, &format!("{path} {name}"), pages);
        }
    }
}

#[test]
fn the_arguments_are_consistent() {
    root().debug_assert();
}

#[test]
fn the_help_of_every_command_is_as_recorded() {
    let mut all = Vec::new();
    pages(&mut root(), "safeurl", &mut all);
    for (path, help) in all {
        insta::assert_snapshot!(path.replace(' ', "-"), help);
    }
}

#[test]
fn every_command_that_does_something_shows_an_example() {
    let mut all = Vec::new();
    pages(&mut root(), "safeurl", &mut all);
    for (path, help) in all {
        let does = !help.contains("\nCommands:\n");
        assert!(!does || help.contains("Examples:\n"), "{path}:\n{help}");
    }
}

#[test]
fn scan_and_worker_have_the_settings_people_change_often() {
    let flags = [
        "config",
        "database",
        "concurrency",
        "timeout",
        "memory",
        "cpus",
        "network",
        "runtime",
        "image",
        "header",
        "user-agent",
        "allow-net",
    ];
    for command in
        [scan::Args::augment_args(Command::new("scan")), worker::Args::augment_args(Command::new("worker"))]
    {
        for flag in flags {
            assert!(command.get_arguments().any(|arg| arg.get_long() == Some(flag)), "{command} --{flag}");
        }
    }
}
