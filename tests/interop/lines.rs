//! The lines, and how one is run.

mod ends;
mod flows;
mod further;
mod mixed;
mod order;
mod producing;
mod retries;
mod stalls;
mod taking;

use std::thread;

use crate::official::{EVERY, Kind, NODE, NODE6, VERSION_6};
use crate::world::{Side, World};

/// One line: what is done and what has to be seen, for one client.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) kinds: &'static [Kind],
    body: fn(&World),
}

impl Line {
    /// Runs it with each of these clients at the same time; those with which it does not hold.
    pub(crate) fn failing(self, kinds: &[Kind], side: Side) -> Vec<String> {
        let runs = kinds.iter().map(|&kind| {
            let run = move || {
                let world = World::start(kind, side);
                (self.body)(&world);
                world.end();
            };
            // A panic says in which thread it was.
            let thread = thread::Builder::new().name(format!("{} with {kind}", self.name)).spawn(run);
            (kind, thread.expect("a thread"))
        });
        let runs: Vec<_> = runs.collect();
        runs.into_iter().filter_map(|(kind, run)| run.join().err().map(|_| kind.to_string())).collect()
    }
}

macro_rules! lines {
    ($($name:ident: $kinds:ident, $body:path;)*) => {
        $(
            #[test]
            fn $name() {
                let failing = line(stringify!($name)).failing($kinds, Side::Safeurl);
                assert!(failing.is_empty(), "does not hold with {}", failing.join(", "));
            }
        )*

        /// All lines.
        pub(crate) const LINES: &[Line] = &[$(Line { name: stringify!($name), kinds: $kinds, body: $body },)*];
    };
}

/// A line by its name.
pub(crate) fn line(name: &str) -> Line {
    *LINES.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("there is no {name}"))
}

lines! {
    line_01: EVERY, taking::a_job_that_was_added_is_completed;
    line_02: EVERY, taking::data_is_what_was_added;
    line_03: EVERY, taking::the_return_value_is_the_summary_of_the_scan;
    line_04: EVERY, taking::one_completed_event_carries_the_return_value;
    line_05: EVERY, taking::attempts_are_counted_and_times_grow;
    line_06: EVERY, taking::many_at_once_are_each_taken_and_completed_once;
    line_07: EVERY, order::one_slot_takes_jobs_in_the_order_in_which_they_came;
    line_08: EVERY, taking::drained_follows_the_last_job;
    line_09: EVERY, order::a_delayed_job_waits_for_its_time;
    line_10: EVERY, order::jobs_due_at_the_same_moment_keep_their_order;
    line_11: EVERY, order::a_far_delayed_job_holds_nobody_up;
    line_12: EVERY, taking::an_idle_worker_wakes_when_a_job_is_added;
    line_13: EVERY, order::nothing_is_taken_while_the_queue_is_paused;
    line_14: EVERY, order::priorities_come_after_plain_jobs_and_in_their_order;
    line_15: EVERY, retries::a_failing_job_is_failed_with_its_reason;
    line_16: EVERY, retries::a_fixed_backoff_is_kept_between_attempts;
    line_17: EVERY, retries::an_exponential_backoff_doubles;
    line_18: EVERY, retries::a_backoff_may_be_a_number_and_may_be_missing;
    line_19: EVERY, retries::a_second_attempt_may_succeed;
    line_20: EVERY, retries::a_priority_survives_a_retry;
    line_21: EVERY, ends::a_custom_id_is_kept_and_not_run_twice;
    line_22: EVERY, ends::a_deduplication_ends_with_its_job;
    line_23: EVERY, ends::finished_jobs_are_removed_as_their_options_say;
    line_24: EVERY, taking::progress_and_log_tell_how_far_it_is;
    line_25: EVERY, taking::an_active_job_is_locked;
    line_26: EVERY, ends::a_removed_job_never_runs;
    line_27: EVERY, ends::a_finished_job_can_be_retried_and_a_delayed_one_promoted;
    line_28: EVERY, order::a_global_concurrency_is_kept_and_its_own_too;
    line_29: EVERY, order::a_rate_limit_is_kept;
    line_30: EVERY, flows::a_parent_runs_after_its_child;
    line_31: EVERY, flows::a_scheduler_goes_on;
    line_32: EVERY, stalls::a_long_job_is_not_stolen;
    line_33: EVERY, stalls::an_abandoned_job_is_recovered;
    line_34: EVERY, stalls::a_deferred_failure_is_carried_out_unrun;
    line_35: EVERY, stalls::a_killed_worker_s_job_is_recovered;
    line_36: EVERY, stalls::a_worker_that_is_asked_to_end_finishes_its_job;
    line_37: EVERY, mixed::the_worker_is_seen;
    line_38: EVERY, ends::finished_jobs_read_as_those_of_the_clients;
    line_39: NODE, retries::options_that_only_node_has_are_obeyed;
    line_40: NODE, mixed::no_observer_meets_an_error;
    line_41: EVERY, producing::a_job_reads_as_it_was_added;
    line_42: EVERY, producing::a_new_job_is_in_its_state;
    line_43: EVERY, producing::a_new_job_is_told_once;
    line_44: EVERY, producing::ids_go_on_from_one_counter;
    line_45: EVERY, producing::a_worker_completes_all_in_order_and_obeys_attempts;
    line_46: EVERY, producing::an_idle_worker_wakes_for_a_job_of_ours;
    line_47: EVERY, producing::a_delayed_job_of_ours_starts_on_time;
    line_48: EVERY, producing::an_id_that_is_there_is_not_added_again;
    line_49: EVERY, producing::deduplication_holds_between_producers;
    line_50: EVERY, producing::nothing_is_lost_while_paused;
    line_51: EVERY, producing::what_is_to_be_kept_is_kept;
    line_52: EVERY, producing::counts_per_priority_have_ours;
    line_53: EVERY, producing::a_queue_can_be_wiped_and_used_again;
    line_54: NODE6, mixed::two_kinds_of_workers_share_one_queue;
    line_55: EVERY, stalls::nobody_s_check_touches_a_healthy_job;
    line_56: EVERY, mixed::a_wrong_token_is_refused;
    a_payload_without_a_usable_address_fails_at_once: EVERY, further::a_payload_without_a_usable_address_fails_at_once;
    a_second_delivery_waits_for_the_first: EVERY, further::a_second_delivery_waits_for_the_first;
    a_worker_that_is_told_twice_gives_its_job_back: EVERY, further::a_worker_that_is_told_twice_gives_its_job_back;
    submit_adds_what_the_clients_read: EVERY, further::submit_adds_what_the_clients_read;
    the_clients_count_what_stats_counts: EVERY, further::the_clients_count_what_stats_counts;
    an_operator_s_retry_runs_the_same_entry_again: EVERY, further::an_operator_s_retry_runs_the_same_entry_again;
    an_offer_makes_sure_that_a_job_runs: EVERY, further::an_offer_makes_sure_that_a_job_runs;
    a_marker_that_is_put_back_wakes_another_worker: VERSION_6, further::a_marker_that_is_put_back_wakes_another_worker;
    what_waits_is_found_wherever_it_waits: EVERY, further::what_waits_is_found_wherever_it_waits;
}

/// Among themselves the official clients hold every line, so that what falls with safeurl is safeurl's.
#[test]
#[ignore = "a control of the lines, not of safeurl; by hand"]
fn the_official_clients_hold_the_lines_themselves() {
    let chosen = std::env::var("LINES").unwrap_or_default();
    let chosen: Vec<_> = chosen.split(',').filter(|name| !name.is_empty()).collect();
    let mut failing = Vec::new();
    let listed = |line: &&Line| line.name.starts_with("line_");
    for line in LINES.iter().filter(listed).filter(|line| chosen.is_empty() || chosen.contains(&line.name)) {
        // The clients' two languages do not see each other's workers.
        let kinds = if line.name == "line_37" { NODE } else { line.kinds };
        for client in line.failing(kinds, Side::Official) {
            failing.push(format!("{} with {client}", line.name));
        }
    }
    assert!(failing.is_empty(), "{failing:#?}");
}
