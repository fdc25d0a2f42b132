//! What became of entries, as the later stages report it.

use std::sync::Arc;

use crate::model::{Receipts, Sampling, Trace};

/// All receipts of one trace part (or of one entry that could not be decoded), disposed of together: the source settles them in
/// one atomic step, so that what it would read again after a crash is always whole. Only large ones that nobody will ever take are moved away step by step.
#[derive(Debug)]
pub struct Settlement {
    /// Each from the batch that carried its entry.
    pub receipts: Receipts,
    /// What became of them.
    pub fate: Fate,
}

/// How entries were disposed of.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Every required exporter took the trace.
    Delivered,
    /// A filter dropped the trace. The source lets go of its entries as of those that were delivered.
    Dropped(Arc<Sampling>),
    /// Nobody will ever take it: to the dead-letter stream, with all fields.
    Dead {
        /// The stage that gave up: `decode`, `filter` or `export`.
        stage: &'static str,
        /// The plugin that refused it, if one did.
        plugin: Option<String>,
        /// Why, for people.
        reason: String,
        /// The trace part itself, where entries became one: the log may have lost them by now.
        trace: Option<Arc<Trace>>,
    },
}
