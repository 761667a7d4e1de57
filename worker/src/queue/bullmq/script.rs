//! The Lua scripts: one operation a file, composed with the parts that several of them need.
//!
//! A script gets one key, what the queue's keys begin with, and makes the others from it: they are in the same slot of a
//! cluster. Its arguments are text. It answers with an array whose first element says what became of it.

use redis::Script;

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// The file's name.
    pub name: &'static str,
    script: Script,
}

impl Operation {
    /// An operation from its composed source.
    #[must_use]
    pub fn new(name: &'static str, source: &str) -> Self {
        Self { name, script: Script::new(source) }
    }

    /// The source, for whoever sends it.
    #[must_use]
    pub const fn script(&self) -> &Script {
        &self.script
    }
}

/// Composes an operation of `parts/queue.lua`, the parts that are named, and its own file. A part comes behind those that
/// it needs.
macro_rules! operation {
    ($name:literal $(, $part:literal)*) => {
        $crate::queue::bullmq::script::Operation::new(
            $name,
            concat!(
                include_str!("parts/queue.lua"),
                "\n",
                $(include_str!(concat!("parts/", $part, ".lua")), "\n",)*
                include_str!(concat!($name, ".lua"))
            ),
        )
    };
}
pub(super) use operation;
