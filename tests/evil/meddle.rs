//! A filter that makes up as much as it can: a long reason of its own for each trace, 3,048 attributes for a span called `wide`, and 200,000 bytes for
//! every span of a trace that has a hundred of them.

use meshtrace_plugin::{Batch, Decisions, Description, Filter, export_filter};

struct Meddle;

impl Filter for Meddle {
    fn describe() -> Description {
        Description::new("meddle", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Meddle)
    }

    fn decide(&mut self, batch: &Batch) -> Result<Decisions, String> {
        let mut decisions = Decisions::pass_all(batch);
        for trace in batch.traces() {
            decisions.keep(trace.row(), &format!("{} {}", trace.id_text(), "because ".repeat(100)));
            if trace.span_count() >= 100 {
                decisions.set_attribute(trace, "large", "x".repeat(200_000));
            }
            for span in trace.spans().filter(|span| span.name() == "wide") {
                for number in 0..3_048 {
                    decisions.set_attribute(span, format!("a{number:04}"), number);
                }
            }
        }
        Ok(decisions)
    }
}

export_filter!(Meddle);
