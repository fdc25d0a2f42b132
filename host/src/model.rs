//! The nouns every stage speaks: ids, names, spans, traces, receipts.
//!
//! Must never: know a stage, derive serde, read a clock, or say Redis, WebAssembly or HTTP.

mod attributes;
mod id;
mod id_memory;
mod name;
mod outline;
mod receipt;
mod resource;
mod sampling;
mod span;
mod time;
mod trace;
mod value;

pub use attributes::{Attribute, Attributes, Iter as AttributeIter, Key, Packer};
pub use id::{MAX_ID_BYTES, SpanId, TraceId};
pub use id_memory::{IdHasher, IdMemory};
pub use name::{MAX_NAME_BYTES, Name, NameTable, Text};
pub use outline::Outline;
pub use receipt::{Leadership, Mark, Receipt, Receipts};
pub use resource::Resource;
pub use sampling::Sampling;
pub use span::{Kind, Span, SpanState, Status};
pub use time::{SpanDuration, UnixNanos};
pub use trace::{Decision, Trace};
pub use value::Value;
