//! What is handed on as JSON files, one per trace.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Traces;

/// Files so far.
pub fn count(dir: &Path) -> Result<u64> {
    Ok(files(dir)?.len() as u64)
}

/// Spans of each trace, each once.
pub fn read(dir: &Path) -> Result<Traces> {
    let mut traces = Traces::new();
    for path in files(dir)? {
        let text = fs::read(&path)?;
        let trace: Value = serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        // The registry writes the names of its Go structures; the documented ones are in lower case.
        let either = |value: &Value, names: [&str; 2]| names.iter().find_map(|name| value.get(name).cloned()).unwrap_or_default();
        let spans = either(&trace, ["spans", "Spans"]);
        let ids: BTreeSet<String> =
            spans.as_array().into_iter().flatten().map(|span| either(span, ["span_id", "SpanID"]).to_string()).collect();
        let id = either(&trace, ["trace_id", "TraceID"]);
        traces.insert(id.as_str().with_context(|| format!("{} has no trace id", path.display()))?.to_owned(), ids.len() as u64);
    }
    Ok(traces)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_read_in_either_spelling() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("deeper")).expect("a directory");
        for (file, text) in [
            ("a.json", r#"{"trace_id": "aa", "spans": [{"span_id": "1"}, {"span_id": "2"}, {"span_id": "1"}]}"#),
            ("deeper/b.json", r#"{"TraceID": "bb", "Spans": [{"SpanID": "1"}]}"#),
            ("c.tmp", "half"),
        ] {
            fs::write(dir.path().join(file), text).expect("a file");
        }
        assert_eq!(count(dir.path()).expect("files"), 2);
        let expected: Traces = [("aa", 2), ("bb", 1)].map(|(id, spans)| (id.to_owned(), spans)).into();
        assert_eq!(read(dir.path()).expect("traces"), expected);
    }
}
