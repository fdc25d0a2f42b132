//! The current batch.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use crate::columns::at;
use crate::strings::Strings;
use crate::{Columns, Trace};

/// The traces of the current call. Columns are fetched from the host when a method first needs them, and then kept.
#[derive(Default)]
pub struct Batch {
    columns: Columns,
    strings: Strings,
    /// Attribute columns that were asked for by key. Few keys per plugin, so a list is faster than a map.
    by_key: RefCell<Vec<(String, Rc<[u32]>)>>,
    /// Encoded documents of a batch that a test made, one per trace.
    pub(crate) documents: Vec<Vec<u8>>,
    /// The same as OTLP.
    pub(crate) requests: Vec<Vec<u8>>,
}

impl Batch {
    /// The batch of the call that is running.
    pub(crate) fn current() -> Self {
        Self::default()
    }

    /// A batch whose columns are there already, for tests.
    pub(crate) fn filled(columns: Columns, strings: Strings) -> Self {
        Batch { columns, strings, ..Self::default() }
    }

    /// The traces, and late parts of traces, of this batch.
    pub fn traces(&self) -> impl ExactSizeIterator<Item = Trace<'_>> {
        (0..self.columns.trace_count() as usize).map(|row| Trace { batch: self, row: row as u32 })
    }

    /// One trace by its row.
    #[must_use]
    pub fn trace(&self, row: u32) -> Option<Trace<'_>> {
        (row < self.columns.trace_count()).then_some(Trace { batch: self, row })
    }

    /// Number of traces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.trace_count() as usize
    }

    /// Whether there is no trace; the host does not send such batches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns themselves.
    #[must_use]
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The string with this index; `""` for index 0, the absent string.
    #[must_use]
    pub fn text(&self, index: u32) -> &str {
        self.strings.get(index)
    }

    /// The string with this index; `None` for index 0.
    #[must_use]
    pub fn optional_text(&self, index: u32) -> Option<&str> {
        (index != 0).then(|| self.text(index))
    }

    /// Number of strings, the absent string with index 0 among them: each distinct text of the batch has one index below it.
    #[must_use]
    pub fn string_count(&self) -> u32 {
        self.strings.count()
    }

    /// Traces `rows` as an OTLP `ExportTraceServiceRequest` (protobuf), made by the host. Rows that the batch does not have
    /// are left out.
    #[must_use]
    pub fn otlp(&self, rows: Range<u32>) -> Vec<u8> {
        let end = rows.end.min(self.columns.trace_count());
        let start = rows.start.min(end);
        #[cfg(target_family = "wasm")]
        return crate::glue::exporter::meshtrace::plugin::encoded::otlp(start, end);
        #[cfg(not(target_family = "wasm"))]
        return self.requests.get(start as usize..end as usize).unwrap_or_default().concat();
    }

    pub(crate) fn json(&self, row: u32) -> Vec<u8> {
        #[cfg(target_family = "wasm")]
        if row < self.columns.trace_count() {
            return crate::glue::exporter::meshtrace::plugin::encoded::json(row);
        }
        self.documents.get(row as usize).cloned().unwrap_or_default()
    }

    /// String index of the value that span `row` has for `key`; the whole column is fetched once per key.
    pub(crate) fn attribute_index(&self, row: u32, key: &str) -> u32 {
        if let Some((_, column)) = self.by_key.borrow().iter().find(|(known, _)| known == key) {
            return at(column, row);
        }
        let column: Rc<[u32]> = self.attribute_column(key).into();
        let index = at(&column, row);
        self.by_key.borrow_mut().push((key.to_owned(), column));
        index
    }

    /// One string index per span: the span's value for `key` as text, 0 where it has none. Fetched anew by each call.
    #[must_use]
    pub fn attribute_column(&self, key: &str) -> Vec<u32> {
        #[cfg(target_family = "wasm")]
        return crate::glue::exporter::meshtrace::plugin::attributes::column(key);
        #[cfg(not(target_family = "wasm"))]
        return crate::testing::attribute_column(self, key);
    }
}
