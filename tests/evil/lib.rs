//! Guests that misbehave, each in a way that the host has to survive or to refuse. What they share.

pub mod book;
pub mod torture;

use std::collections::HashSet;
use std::io;

use meshtrace_plugin::{Batch, Level, Outcome, RowOutcome, Trace, log};

/// Whether one of the traces is an attack: its root operation is the guest's name. So many attackers can see the same traces.
#[must_use]
pub fn is_attack(batch: &Batch, name: &str) -> bool {
    batch.traces().any(|trace| trace.root_name() == name)
}

/// What came of a try, in the words of the language.
#[must_use]
pub fn kind<T>(result: &io::Result<T>) -> String {
    result.as_ref().err().map_or_else(|| "done".into(), |error| error.kind().to_string())
}

/// Says in the log which trace was taken.
pub fn took(trace: &Trace<'_>) {
    log!(Level::Info, "took {}", trace.id_text());
}

/// Takes the whole batch, and says so.
#[must_use]
pub fn take_all(batch: &Batch) -> Outcome {
    batch.traces().for_each(|trace| took(&trace));
    Outcome::Delivered
}

/// The traces that a guest has met.
#[derive(Debug, Default)]
pub struct Met(HashSet<String>);

impl Met {
    /// Whether this one is met for the first time.
    pub fn is_new(&mut self, trace: &Trace<'_>) -> bool {
        self.0.insert(trace.id_text().to_owned())
    }

    /// Takes all traces but those that `refuse` has an answer to.
    pub fn take_all_but(&mut self, batch: &Batch, refuse: impl Fn(&mut Met, &Trace<'_>) -> Option<RowOutcome>) -> Outcome {
        Outcome::all_but(batch.traces().filter_map(|trace| refuse(self, &trace)).collect())
    }
}

/// A guest that is made of bare bindings, for what the SDK would not do: `call` is its only one that does something.
#[macro_export]
macro_rules! bare {
    ($bindings:ident, $interface:ident, $name:literal, fn $call:ident() -> $answer:ty $body:block) => {
        struct Bare;

        impl $bindings::exports::meshtrace::plugin::$interface::Guest for Bare {
            fn describe() -> $bindings::exports::meshtrace::plugin::$interface::Description {
                $bindings::exports::meshtrace::plugin::$interface::Description {
                    name: $name.into(),
                    version: "1".into(),
                    config_schema: String::new(),
                    parallel: false,
                }
            }

            fn init(_config: String) -> Result<(), String> {
                Ok(())
            }

            fn $call() -> $answer $body

            fn flush() -> Result<(), String> {
                Ok(())
            }
        }

        $bindings::export!(Bare with_types_in $bindings);
    };
}
