//! Events inside spans, and links between spans. MCP Mesh agents send neither.

use std::time::SystemTime;

use crate::columns::{at, id_at};
use crate::trace::system_time;
use crate::{Batch, Span};

/// Something that happened inside a span.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    pub(crate) span: Span<'a>,
    pub(crate) row: u32,
}

impl<'a> Event<'a> {
    /// What happened; `""` when absent.
    #[must_use]
    pub fn name(&self) -> &'a str {
        let batch = self.span.batch;
        batch.text(at(batch.columns().event_names(), self.row))
    }

    /// Unix nanoseconds of the event, if the trace's times are known.
    #[must_use]
    pub fn unix_ns(&self) -> Option<u64> {
        self.span.since_base(at(self.span.batch.columns().event_offsets_ns(), self.row))
    }

    /// When it happened, if the trace's times are known.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        self.unix_ns().map(system_time)
    }

    /// Its attributes as a JSON object.
    #[must_use]
    pub fn attributes_json(&self) -> Option<&'a str> {
        let batch = self.span.batch;
        batch.optional_text(at(batch.columns().event_attributes(), self.row))
    }
}

/// A link from a span to a span elsewhere.
#[derive(Clone, Copy)]
pub struct Link<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) row: u32,
}

impl<'a> Link<'a> {
    /// The other trace's id.
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        id_at(self.batch.columns().link_trace_ids(), self.row)
    }

    /// The other span's id.
    #[must_use]
    pub fn span_id(&self) -> [u8; 8] {
        id_at(self.batch.columns().link_span_ids(), self.row)
    }

    /// Its attributes as a JSON object.
    #[must_use]
    pub fn attributes_json(&self) -> Option<&'a str> {
        self.batch.optional_text(at(self.batch.columns().link_attributes(), self.row))
    }
}
