//! The JSON document of a trace, and how two of one trace are united.

use std::collections::{BTreeMap, HashSet};

use meshtrace_plugin::text::go_duration;
use serde_json::value::RawValue;

use crate::span::{Fields, Span, is_null, milliseconds, quoted, raw, text, write_fields};

/// Keys of a document that follow `trace_id` and `spans`, in the order of the documented structure.
const ORDER: [&str; 10] =
    ["start_time", "end_time", "duration", "duration_ms", "success", "complete", "span_count", "agent_count", "agents", "sampling"];

/// A trace's document, read as far as uniting needs.
#[derive(Clone, Debug)]
pub struct Document {
    trace_id: String,
    spans: BTreeMap<String, Span>,
    fields: Fields,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let mut fields: Fields = serde_json::from_slice(json).map_err(|error| format!("it is no JSON object: {error}"))?;
        let trace_id = text(fields.remove("trace_id").as_deref()).ok_or("it has no trace_id")?;
        let list = fields.remove("spans").ok_or("it has no spans")?;
        let list: Vec<Fields> = serde_json::from_str(list.get()).map_err(|error| format!("its spans are no list of objects: {error}"))?;
        let mut document = Document { trace_id, spans: BTreeMap::new(), fields };
        for fields in list {
            document.add(Span::new(fields)?);
        }
        Ok(document)
    }

    /// The trace's id as it came.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// Unites two documents of one trace, span by span, and computes anew what follows from the spans. The order of the two
    /// does not matter, nothing that either knew is lost, and uniting the result with either once more changes nothing.
    #[must_use]
    pub fn unite(mut self, other: Document) -> Document {
        let cut_off = self.was_cut_off() || other.was_cut_off();
        for span in other.spans.into_values() {
            self.add(span);
        }
        for (key, value) in other.fields {
            let kept = self.fields.remove(&key);
            let better = kept.filter(|kept| !is_null(kept) && (is_null(&value) || weight(kept) >= weight(&value)));
            self.fields.insert(key, better.unwrap_or(value));
        }
        self.summarize();
        if cut_off {
            self.fields.insert("complete".to_owned(), raw("false".to_owned()));
        }
        self
    }

    /// Whether the host decided it by a bound: it is not complete, though no span is open.
    fn was_cut_off(&self) -> bool {
        let complete = self.fields.get("complete").is_none_or(|complete| complete.get() != "false");
        !complete && !self.spans.values().any(Span::is_open)
    }

    /// The document on one line, with its newline.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let spans: Vec<String> = self.ordered().into_iter().map(Span::to_json).collect();
        let mut json = format!("{{\"trace_id\":{},\"spans\":[{}]", quoted(&self.trace_id), spans.join(","));
        if !self.fields.is_empty() {
            json.push(',');
            write_fields(&mut json, &self.fields, &ORDER);
        }
        json.push_str("}\n");
        json.into_bytes()
    }

    fn add(&mut self, span: Span) {
        let united = match self.spans.remove(&span.id) {
            Some(known) => known.unite(span),
            None => span,
        };
        self.spans.insert(united.id.clone(), united);
    }

    /// Spans by start time, unknown ones last, then by id.
    fn ordered(&self) -> Vec<&Span> {
        let mut spans: Vec<&Span> = self.spans.values().collect();
        spans.sort_by_cached_key(|span| (span.time("start_time").unwrap_or(i128::MAX), span.id.clone()));
        spans
    }

    /// Computes the fields that follow from the spans. Times that no span knows stay as they were.
    fn summarize(&mut self) {
        let spans = self.ordered();
        let mut seen = HashSet::new();
        let names = spans.iter().filter_map(|span| span.text("agent_name")).filter(|name| !name.is_empty());
        let agents: Vec<String> = names.filter(|name| seen.insert(name.clone())).collect();
        let start = spans.iter().filter_map(|span| Some((span.time("start_time")?, span.text("start_time")?))).min();
        let end = spans.iter().filter_map(|span| Some((span.time("end_time")?, span.text("end_time")?))).max();
        let failed = spans.iter().any(|span| span.fields.get("success").is_some_and(|raw| raw.get() == "false"));
        let open = spans.iter().any(|span| span.is_open());
        let took = start.as_ref().zip(end.as_ref()).and_then(|(start, end)| u64::try_from(end.0 - start.0).ok());
        let names: Vec<String> = agents.iter().map(|agent| quoted(agent)).collect();

        let known = [
            ("start_time", start.map(|(_, text)| quoted(&text))),
            ("end_time", end.map(|(_, text)| quoted(&text))),
            ("duration", took.map(|ns| quoted(&go_duration(ns)))),
            ("duration_ms", took.map(milliseconds)),
            ("success", Some((!failed).to_string())),
            ("complete", Some((!open).to_string())),
            ("span_count", Some(spans.len().to_string())),
            ("agent_count", Some(agents.len().to_string())),
            ("agents", Some(format!("[{}]", names.join(",")))),
        ];
        for (key, value) in known {
            if let Some(json) = value {
                self.fields.insert(key.to_owned(), raw(json));
            }
        }
    }
}

/// Which of two values of an unknown key is kept: the longer, then the greater text, whichever came first.
fn weight(raw: &RawValue) -> (usize, &str) {
    (raw.get().len(), raw.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = r#"{"span_id":"r","parent_span":null,"agent_name":"a","operation":"x","start_time":"2024-01-01T10:00:00Z","end_time":"2024-01-01T10:00:00.300Z","duration_ms":300,"success":true,"error_message":null}"#;
    const LATE: &str = r#"{"span_id":"l","parent_span":"r","agent_name":"b","operation":"y","start_time":"2024-01-01T10:00:00.000000001Z","end_time":"2024-01-01T10:01:02Z","duration_ms":61999.999999,"success":false,"error_message":"boom"}"#;
    const OPEN: &str = r#"{"span_id":"l","parent_span":"r","agent_name":"b","operation":"y","start_time":"2024-01-01T10:00:00.000000001Z","end_time":null,"duration_ms":null,"success":null,"error_message":null,"open":true,"attributes":{"k":1}}"#;

    fn document(spans: &[&str]) -> Document {
        let json = format!(r#"{{"trace_id":"t","spans":[{}],"later":{}}}"#, spans.join(","), spans.len());
        Document::parse(json.as_bytes()).unwrap()
    }

    fn text(document: Document) -> String {
        String::from_utf8(document.to_bytes()).unwrap()
    }

    #[test]
    fn a_late_part_joins_its_trace() {
        let united = text(document(&[LATE]).unite(document(&[ROOT])));
        let expected = format!(
            r#"{{"trace_id":"t","spans":[{ROOT},{LATE}],"start_time":"2024-01-01T10:00:00Z","end_time":"2024-01-01T10:01:02Z","duration":"1m2s","duration_ms":62000,"success":false,"complete":true,"span_count":2,"agent_count":2,"agents":["a","b"],"later":1}}"#
        ) + "\n";
        assert_eq!(united, expected);
    }

    #[test]
    fn a_failure_the_earlier_start_and_the_later_end_stand_whoever_knows_more() {
        let failed = r#"{"span_id":"r","start_time":"2024-01-01T09:59:59Z","end_time":"2024-01-01T10:00:00Z","success":false,"error_message":"boom"}"#;
        for (one, two) in [(ROOT, failed), (failed, ROOT)] {
            let united = text(document(&[one]).unite(document(&[two])));
            for part in [
                r#""start_time":"2024-01-01T09:59:59Z","end_time":"2024-01-01T10:00:00.300Z""#,
                r#""success":false,"error_message":"boom""#,
            ] {
                assert!(united.contains(part), "{part} in {united}");
            }
        }
    }

    #[test]
    fn uniting_commutes_and_is_idempotent() {
        const RICHER: &str = r#"{"span_id":"l","parent_span":"r","agent_name":"b","operation":"y","start_time":"2024-01-01T09:00:00Z","end_time":"2024-01-01T10:00:02.0Z","duration_ms":5,"success":true,"error_message":null,"runtime":"x","agent_id":"y","capability":"z"}"#;
        let sets: [&[&str]; 7] = [&[ROOT], &[LATE], &[OPEN], &[OPEN, ROOT], &[LATE, ROOT], &[RICHER], &[]];
        for one in sets {
            for two in sets {
                let united = document(one).unite(document(two));
                let expected = text(united.clone());
                assert_eq!(text(document(two).unite(document(one))), expected);
                for again in [one, two] {
                    assert_eq!(text(united.clone().unite(document(again))), expected);
                    assert_eq!(text(document(again).unite(united.clone())), expected);
                }
                let reread = Document::parse(expected.as_bytes()).unwrap();
                assert_eq!(text(reread), expected);
            }
        }
    }

    #[test]
    fn what_was_cut_off_stays_incomplete_and_what_had_expired_does_not() {
        let decided = |span: &str| Document::parse(format!(r#"{{"trace_id":"t","spans":[{span}],"complete":false}}"#).as_bytes()).unwrap();
        let whole = |span: &str| Document::parse(format!(r#"{{"trace_id":"t","spans":[{span}],"complete":true}}"#).as_bytes()).unwrap();
        let complete = |united: Document| text(united).contains(r#""complete":true"#);
        assert!(!complete(decided(ROOT).unite(whole(LATE))) && !complete(whole(LATE).unite(decided(ROOT))));
        assert!(complete(decided(OPEN).unite(whole(LATE))) && complete(whole(LATE).unite(decided(OPEN))));
    }

    #[test]
    fn less_never_replaces_more() {
        let more = text(document(&[ROOT, LATE]).unite(document(&[OPEN])));
        assert!(more.contains(r#""attributes":{"k":1}"#) && more.contains("boom") && !more.contains("open"));
        assert!(text(document(&[OPEN]).unite(document(&[OPEN]))).contains(r#""complete":false"#));
        let known = Document::parse(br#"{"trace_id":"t","spans":[],"duration_ms":7,"duration":"7ms"}"#).unwrap();
        let unknown = Document::parse(br#"{"trace_id":"t","spans":[],"duration_ms":null,"duration":null}"#).unwrap();
        assert!(text(unknown.unite(known)).contains(r#""duration":"7ms","duration_ms":7"#));
    }

    #[test]
    fn what_is_no_document_is_said_to_be_none() {
        let broken: [&[u8]; 6] =
            [b"", b"{", b"[]", br#"{"trace_id":"t"}"#, br#"{"trace_id":"t","spans":{}}"#, b"{\"trace_id\":\"\xff\",\"spans\":[]}"];
        for json in broken {
            assert!(Document::parse(json).is_err());
        }
    }
}
