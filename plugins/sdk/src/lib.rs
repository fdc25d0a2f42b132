//! Write a meshtrace exporter in Rust.
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
mod event;
mod exporter;
mod glue;
mod host;
mod span;
mod strings;
pub mod testing;
pub mod text;
mod trace;

pub use attribute::{Attributes, Value};
pub use batch::Batch;
pub use columns::Columns;
pub use event::{Event, Link};
pub use exporter::{Description, Exporter, Outcome, Report, RowOutcome, State};
pub use host::{Level, log, metrics};
pub use span::{Resource, Span, SpanKind, Status};
pub use trace::Trace;

/// What the macros of this crate expand to. No part of its interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::glue::{Slot, exporter, reporting, stateful};
}
