//! The state as bytes: JSON with a version, so that a later plugin knows what it reads.

use meshtrace_plugin::log;
use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::names::Names;
use crate::totals::{Counters, Totals};

/// Raised when a field changes its meaning.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    version: u32,
    since_ms: i64,
    counters: Counters,
    min_ns: u64,
    max_ns: u64,
    histogram: Vec<(usize, u64)>,
    operations: Names,
    agents: Names,
}

/// The state as bytes.
#[must_use]
pub fn write(totals: &Totals) -> Vec<u8> {
    let (min_ns, max_ns, histogram) = totals.durations.parts();
    let snapshot = Snapshot {
        version: VERSION,
        since_ms: totals.since_ms,
        counters: totals.counters,
        min_ns,
        max_ns,
        histogram,
        operations: totals.operations.clone(),
        agents: totals.agents.clone(),
    };
    serde_json::to_vec(&snapshot).unwrap_or_else(|error| {
        log!(meshtrace_plugin::Level::Error, "the state cannot be written: {error}");
        Vec::new()
    })
}

/// The state from such bytes.
///
/// # Errors
/// When they are none, or of a later version.
pub fn read(bytes: &[u8]) -> Result<Totals, String> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let versioned: Versioned = serde_json::from_slice(bytes).map_err(|error| format!("the snapshot is none of this plugin's: {error}"))?;
    if versioned.version != VERSION {
        return Err(format!("the snapshot has version {}, this plugin reads version {VERSION}", versioned.version));
    }
    let snapshot: Snapshot = serde_json::from_slice(bytes).map_err(|error| format!("the snapshot is damaged: {error}"))?;
    let counters = snapshot.counters;
    let durations = Histogram::from_parts(snapshot.min_ns, snapshot.max_ns, &snapshot.histogram)
        .map_err(|error| format!("the snapshot is damaged: {error}"))?;
    if counters.failed > counters.traces || durations.total() > counters.traces {
        return Err("the snapshot is damaged: it has more failures or durations than traces".to_owned());
    }
    Ok(Totals {
        since_ms: snapshot.since_ms,
        counters,
        durations,
        operations: snapshot.operations,
        agents: snapshot.agents,
    })
}
