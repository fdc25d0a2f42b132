//! Publishes captured events as agents do: over an ordinary Redis client, one `XADD` for each span.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use redis::aio::MultiplexedConnection;

/// What six agents in Python, and the formatters of the other two runtimes, once sent.
const CAPTURED: [&str; 3] = [
    include_str!("../../../tests/fixtures/mesh-events-python.ndjson"),
    include_str!("../../../tests/fixtures/mesh-events-typescript.ndjson"),
    include_str!("../../../tests/fixtures/mesh-events-java.ndjson"),
];
/// Fields that hold Unix seconds.
const TIMES: [&str; 4] = ["start_time", "end_time", "published_at", "timestamp"];
/// Pauses between entries are kept, up to this long.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

pub(super) struct Publisher {
    connection: MultiplexedConnection,
    stream: String,
    events: Vec<Event>,
    passes: u32,
}

#[derive(Clone, serde::Deserialize)]
struct Event {
    id: String,
    fields: BTreeMap<String, String>,
}

/// What one pass published.
pub(super) struct Pass {
    pub traces: u64,
}

impl Publisher {
    pub async fn connect(address: &str, stream: String) -> anyhow::Result<Publisher> {
        let connection = redis::Client::open(format!("redis://{address}/"))?.get_multiplexed_async_connection().await?;
        let lines = CAPTURED.iter().flat_map(|file| file.lines());
        let events = lines.map(serde_json::from_str).collect::<Result<Vec<Event>, _>>().context("the captured events")?;
        Ok(Publisher { connection, stream, events, passes: 0 })
    }

    /// Publishes all events once, as if they happened now.
    pub async fn pass(&mut self) -> anyhow::Result<Pass> {
        let mut last_ms = None;
        let mut traces: BTreeMap<String, f64> = BTreeMap::new();
        for event in &self.events {
            let at_ms = event.id.split('-').next().and_then(|ms| ms.parse::<u64>().ok()).unwrap_or(0);
            let gap = Duration::from_millis(last_ms.map_or(0, |last| at_ms.saturating_sub(last)));
            last_ms = Some(at_ms);
            tokio::time::sleep(gap.min(LONGEST_PAUSE)).await;
            // All times of a trace are moved by the same amount, that of its first event.
            let trace = event.fields.get("trace_id").cloned().unwrap_or_default();
            let moved = *traces.entry(trace).or_insert_with(|| now() - seconds(event, "published_at"));
            let fields = self.moved(event, moved);
            let mut add = redis::cmd("XADD");
            add.arg(&self.stream).arg("MAXLEN").arg("~").arg(100_000).arg("*");
            for (key, value) in &fields {
                add.arg(key).arg(value);
            }
            add.query_async::<String>(&mut self.connection).await.context("an event was not taken")?;
        }
        self.passes += 1;
        Ok(Pass { traces: traces.len() as u64 })
    }

    /// The event's fields with its times moved by so many seconds; from the second pass on with another trace id, so that it is another trace.
    fn moved(&self, event: &Event, by: f64) -> BTreeMap<String, String> {
        let mut fields = event.fields.clone();
        for key in TIMES {
            if let Some(text) = fields.get_mut(key).filter(|text| text.parse::<f64>().is_ok()) {
                *text = format!("{:.6}", seconds(event, key) + by);
            }
        }
        if let Some(id) = fields.get_mut("trace_id").filter(|_| self.passes > 0) {
            *id = another_id(id, self.passes);
        }
        fields
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn seconds(event: &Event, key: &str) -> f64 {
    event.fields.get(key).and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

/// An id of the same kind for pass number `pass`.
fn another_id(id: &str, pass: u32) -> String {
    match u128::from_str_radix(id, 16) {
        Ok(number) if id.len() == 32 => {
            format!("{:032x}", number ^ u128::from(pass).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834))
        }
        _ => format!("{id}-{pass}"),
    }
}
