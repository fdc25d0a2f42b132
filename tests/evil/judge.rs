//! A filter that decides by a trace's root operation: drops `unwanted`, keeps `wanted`, has no opinion on others, and panics at `poison` unless its
//! config is `{"brave":true}`. Of every trace that it sees it removes the attribute `secret`, and signs it.

use meshtrace_plugin::{Batch, Decisions, Description, Filter, export_filter};

struct Judge {
    brave: bool,
}

impl Filter for Judge {
    fn describe() -> Description {
        Description::new("judge", "1")
    }

    fn init(config: &str) -> Result<Self, String> {
        Ok(Judge { brave: config.contains("true") })
    }

    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
        assert!(self.brave || batch.traces().all(|trace| trace.root_name() != "poison"), "a poisoned trace");
        let mut decisions = Decisions::pass_all(batch);
        for trace in batch.traces() {
            match trace.root_name() {
                "unwanted" => decisions.drop(trace.row(), "nobody wants it"),
                "wanted" => decisions.keep(trace.row(), "somebody wants it"),
                _ => {}
            }
            decisions.remove_attribute(trace, "secret");
            decisions.set_attribute(trace, "signed", true);
        }
        Ok(decisions)
    }
}

export_filter!(Judge);
