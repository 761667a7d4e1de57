//! What the worker and its gateway read, from containers, from each other, from other programs and from people, each
//! reader with what must hold for any input.

#[cfg(test)]
#[path = "../mutate.rs"]
mod mutate;
#[cfg(test)]
#[path = "../replay.rs"]
mod replay;

mod container;
mod gateway;
mod outside;
mod settings;
mod visitors;

/// Reads any bytes, and panics when what must hold does not.
pub type Target = fn(&[u8]);

/// Targets by name. A name is that of its folder of seeds as well.
pub const TARGETS: &[(&str, Target)] = &[
    ("container_output", container::container_output),
    ("engine_frames", container::engine_frames),
    ("probe_answer", container::probe_answer),
    ("report", container::report),
    ("connect_head", gateway::connect_head),
    ("destination", gateway::destination),
    ("ledger", gateway::ledger),
    ("gateway_message", gateway::gateway_message),
    ("database_answer", outside::database_answer),
    ("redis_answer", outside::redis_answer),
    ("queue_entry", outside::queue_entry),
    ("schedule", outside::schedule),
    ("target", outside::target),
    ("configuration", settings::configuration),
    ("setting", settings::setting),
    ("health_request", visitors::health_request),
    ("demo_request", visitors::demo_request),
];

/// Text up to the first newline, and what follows it.
fn first_line(data: &[u8]) -> (String, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (String::from_utf8_lossy(&data[..end]).into_owned(), data.get(end + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use super::replay::replay;

    macro_rules! held_by_seeds_and_mutations {
        ($($name:ident)*) => {
            $(#[test]
            fn $name() {
                let target = TARGETS.iter().find(|(name, _)| *name == stringify!($name)).expect("it is in the list");
                replay(target.0, target.1);
            })*

            #[test]
            fn every_target_is_replayed() {
                assert_eq!(TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
            }
        };
    }

    held_by_seeds_and_mutations! {
        container_output engine_frames probe_answer report connect_head destination ledger gateway_message database_answer
        redis_answer queue_entry schedule target configuration setting health_request demo_request
    }
}
