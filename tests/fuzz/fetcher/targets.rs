//! What the fetcher reads from servers, and from whoever started it, each reader with what must hold for any input.

#[cfg(test)]
#[path = "../mutate.rs"]
mod mutate;
#[cfg(test)]
#[path = "../replay.rs"]
mod replay;

mod hand_over;
mod network;
mod page;

/// Reads any bytes, and panics when what must hold does not.
pub type Target = fn(&[u8]);

/// Targets by name. A name is that of its folder of seeds as well.
pub const TARGETS: &[(&str, Target)] = &[
    ("arguments", hand_over::arguments),
    ("invocation", hand_over::invocation),
    ("answer_http1", network::answer_http1),
    ("answer_http2", network::answer_http2),
    ("body", network::body),
    ("certificate", network::certificate),
    ("cookies", network::cookies),
    ("greeting", network::greeting),
    ("redirect", network::redirect),
    ("robots", network::robots),
    ("charset", page::charset),
    ("file", page::file),
    ("html", page::html),
    ("script", page::script),
];

/// Text up to the first newline, and what follows it.
fn first_line(data: &[u8]) -> (String, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (String::from_utf8_lossy(&data[..end]).into_owned(), data.get(end + 1..).unwrap_or_default())
}

/// The runtime that the fetcher's own `main` makes, without the network.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime without a network needs nothing").block_on(future)
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
        arguments invocation answer_http1 answer_http2 body certificate cookies greeting redirect robots charset file html script
    }
}
