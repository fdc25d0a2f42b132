//! A trace as bytes that others read: documented JSON, the JSON that `meshctl` reads, and OTLP.
//!
//! Pure: no stage, no clock, no input or output. Both the API and the getters that plugins call answer with these bytes, so
//! what a plugin writes and what a client asks for are the same.
//!
//! Must never: build a tree of values first (these run once per trace on the hot path), or fail.

mod json;
mod meshctl;
mod otlp;
mod readable;
#[cfg(test)]
pub(crate) mod sample;
mod scalar;
mod value;

use serde::Serialize;

pub use json::{JsonOutline, JsonTrace};
pub use otlp::{OtlpSpans, otlp};

use crate::model::{Outline, Trace};

/// The documented JSON of a decided trace (MCP Mesh's `CompletedTrace`), as one line of UTF-8 without a newline at its end.
pub fn json(trace: &Trace) -> Vec<u8> {
    document(&JsonTrace::decided(trace))
}

/// The documented JSON of a trace that is not decided yet: as [`json`], but `"complete": false` whatever its spans say.
pub fn json_open(trace: &Trace) -> Vec<u8> {
    document(&JsonTrace::open(trace))
}

/// What may be told of a trace that the filters have not decided on, in the documented shape; `redacted` says why it is not more.
pub fn json_outline(outline: &Outline, redacted: &str) -> Vec<u8> {
    document(&JsonOutline { outline, redacted })
}

/// The JSON that `meshctl trace` reads.
pub fn meshctl(trace: &Trace) -> Vec<u8> {
    document(&meshctl::Document::of(trace))
}

fn document(value: &impl Serialize) -> Vec<u8> {
    // Serialising fails for keys that are not text and for what a `Serialize` of ours reports; neither happens here.
    let written = serde_json::to_vec(value);
    debug_assert!(written.is_ok(), "{written:?}");
    written.unwrap_or_default()
}
