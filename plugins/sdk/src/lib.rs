//! Write a meshtrace plugin in Rust: an exporter, which takes finished traces somewhere, or a filter, which decides which
//! traces are kept and changes them before any exporter sees them.
//!
//! An exporter is a type that implements [`Exporter`], and one line that makes a component of it:
//!
//! ```
//! use meshtrace_plugin::{Batch, Description, Exporter, Outcome, export_exporter};
//!
//! struct Slow {
//!     seen: u64,
//! }
//!
//! impl Exporter for Slow {
//!     fn describe() -> Description {
//!         Description::new("slow", env!("CARGO_PKG_VERSION"))
//!     }
//!
//!     fn init(_config: &str) -> Result<Self, String> {
//!         Ok(Slow { seen: 0 })
//!     }
//!
//!     fn export(&mut self, batch: &Batch) -> Outcome {
//!         for trace in batch.traces() {
//!             for span in trace.spans() {
//!                 if span.duration().is_some_and(|d| d.as_secs() >= 1) {
//!                     println!("{} {} took {:?}", trace.id_text(), span.name(), span.duration());
//!                     self.seen += 1;
//!                 }
//!             }
//!         }
//!         Outcome::Delivered
//!     }
//! }
//!
//! export_exporter!(Slow);
//! ```
//!
//! A filter is a type that implements [`Filter`]:
//!
//! ```
//! use meshtrace_plugin::{Batch, Decisions, Description, Filter, export_filter};
//!
//! struct NoHealthChecks;
//!
//! impl Filter for NoHealthChecks {
//!     fn describe() -> Description {
//!         Description::new("no-health-checks", env!("CARGO_PKG_VERSION")).parallel()
//!     }
//!
//!     fn init(_config: &str) -> Result<Self, String> {
//!         Ok(NoHealthChecks)
//!     }
//!
//!     fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
//!         let mut decisions = Decisions::pass_all(batch);
//!         for trace in batch.traces() {
//!             if trace.root_name() == "health" && !trace.is_failed() {
//!                 decisions.drop(trace.row(), "health check");
//!             }
//!             for span in trace.spans() {
//!                 if span.attribute("session").is_some() {
//!                     decisions.remove_attribute(span, "session");
//!                 }
//!             }
//!         }
//!         Ok(decisions)
//!     }
//! }
//!
//! export_filter!(NoHealthChecks);
//! ```
//!
//! Make the crate a `cdylib` and build it with `cargo build --release --target wasm32-wasip2`: the `.wasm` that comes out
//! is the plugin.
//!
//! A [`Batch`] is read lazily: a column crosses from the host the first time a method needs it, and never again for that
//! batch. So a plugin pays for what it reads. Who wants whole columns instead of rows finds them in [`Batch::columns`].
//!
//! [`testing`] builds batches natively, so that the logic of a plugin is tested with plain `cargo test`.

mod attribute;
mod batch;
mod columns;
mod decisions;
mod event;
mod exporter;
mod filter;
mod glue;
mod host;
mod plugin;
mod span;
mod strings;
pub mod testing;
pub mod text;
mod trace;

pub use attribute::{Attributes, OwnedValue, Value};
pub use batch::Batch;
pub use columns::Columns;
pub use decisions::{Decisions, Edit, EditField, Target, Verdict};
pub use event::{Event, Link};
pub use exporter::{Exporter, Outcome, RowOutcome};
pub use filter::Filter;
pub use host::{Level, log, metrics};
pub use plugin::{Description, Report, State};
pub use span::{Resource, Span, SpanKind, Status};
pub use trace::Trace;

/// What the macros of this crate expand to. No part of its interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::glue::exporter::meshtrace::plugin::types::Decisions as DecisionRecord;
    pub use crate::glue::{Slot, exporter, filter, reporting, stateful};
}
