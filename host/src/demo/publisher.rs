//! Publishes captured events as agents do: over an ordinary Redis client, one `XADD` for each span.

use std::collections::{BTreeMap, BTreeSet};
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
    pub async fn connect(url: &str) -> anyhow::Result<Publisher> {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let lines = CAPTURED.iter().flat_map(|file| file.lines());
        let events = lines.map(serde_json::from_str).collect::<Result<Vec<Event>, _>>().context("the captured events")?;
        Ok(Publisher { connection, events, passes: 0 })
    }

    /// Publishes all events once, as if they happened now.
    pub async fn pass(&mut self) -> anyhow::Result<Pass> {
        let mut last_ms = None;
        let mut traces = BTreeSet::new();
        for event in &self.events {
            let at_ms = event.id.split('-').next().and_then(|ms| ms.parse::<u64>().ok()).unwrap_or(0);
            let gap = Duration::from_millis(last_ms.map_or(0, |last| at_ms.saturating_sub(last)));
            last_ms = Some(at_ms);
            tokio::time::sleep(gap.min(LONGEST_PAUSE)).await;
            let fields = self.as_if_now(event);
            traces.insert(fields.get("trace_id").cloned());
            let mut add = redis::cmd("XADD");
            add.arg("mesh:trace").arg("MAXLEN").arg("~").arg(100_000).arg("*");
            for (key, value) in &fields {
                add.arg(key).arg(value);
            }
            add.query_async::<String>(&mut self.connection).await.context("an event was not taken")?;
        }
        self.passes += 1;
        Ok(Pass { traces: traces.len() as u64 })
    }

    /// The event's fields with its times moved to now; from the second pass on with another trace id, so that it is another trace.
    fn as_if_now(&self, event: &Event) -> BTreeMap<String, String> {
        let mut fields = event.fields.clone();
        let published: f64 = fields.get("published_at").and_then(|text| text.parse().ok()).unwrap_or(0.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        for key in TIMES {
            if let Some(text) = fields.get_mut(key)
                && let Ok(seconds) = text.parse::<f64>()
            {
                *text = format!("{:.6}", seconds - published + now);
            }
        }
        if let Some(id) = fields.get_mut("trace_id").filter(|_| self.passes > 0) {
            *id = another_id(id, self.passes);
        }
        fields
    }
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
