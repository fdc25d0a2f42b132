//! Our own keys beside the stream. All carry its hash tag, so that one script may touch them together with it in a cluster.

/// The names of our keys for one stream and group.
#[derive(Debug)]
pub(super) struct Keys {
    /// Holds the token of whoever leads, and ends by itself.
    pub lease: String,
    /// A hash that remembers the last leader when the lease has ended: `token`, `epoch`, `settled`, how often this leader has settled something, and
    /// `buried`, the name of the last portion of dead letters that was written.
    pub leader: String,
    /// The id up to which every entry was settled when this was last looked at.
    pub settled: String,
    /// Which minutes the journal has, as a sorted set.
    pub minutes: String,
    /// What trace ids are hashed by in the journal.
    pub id_key: String,
    journal: String,
}

impl Keys {
    pub fn new(stream: &str, group: &str) -> Keys {
        let key = |what: &str| format!("{}:{what}:{group}", tagged(stream));
        Keys {
            lease: key("lease"),
            leader: key("leader"),
            settled: key("settled"),
            minutes: key("decided"),
            id_key: format!("{}:key", key("decided")),
            journal: key("decided"),
        }
    }

    /// The journal of the minute that begins so many minutes after 1970.
    pub fn minute(&self, minute: u64) -> String {
        format!("{}:{minute}", self.journal)
    }
}

/// The stream of dead letters beside `stream`.
pub(super) fn dead_stream(stream: &str) -> String {
    format!("{}:dead", tagged(stream))
}

fn tagged(stream: &str) -> String {
    if stream.contains('{') { stream.to_owned() } else { format!("{{{stream}}}") }
}
