//! What a source says about itself, for people.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::Leadership;

/// What the source is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceState {
    /// Not reading, because it was told not to (`MCP_MESH_DISTRIBUTED_TRACING_ENABLED=false`).
    #[default]
    Disabled,
    /// Not reading yet: plugins are being loaded that traces will have to wait for.
    Starting,
    /// Looking for its log.
    Connecting,
    /// Another host reads the log; this one takes over when that ends.
    StandingBy,
    /// Reading what an earlier run left pending.
    Recovering,
    /// Reading new entries.
    Running,
    /// Done.
    Stopped,
}

impl SourceState {
    /// All of them.
    pub const ALL: [SourceState; 7] = [
        SourceState::Disabled,
        SourceState::Starting,
        SourceState::Connecting,
        SourceState::StandingBy,
        SourceState::Recovering,
        SourceState::Running,
        SourceState::Stopped,
    ];

    /// One lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            SourceState::Disabled => "disabled",
            SourceState::Starting => "starting",
            SourceState::Connecting => "connecting",
            SourceState::StandingBy => "standing_by",
            SourceState::Recovering => "recovering",
            SourceState::Running => "running",
            SourceState::Stopped => "stopped",
        }
    }
}

/// What this host is among those that may read the same log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It reads.
    Leader,
    /// Another one reads.
    Standby,
}

impl Role {
    /// One lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Leader => "leader",
            Role::Standby => "standby",
        }
    }
}

/// How long the log keeps entries that are not acknowledged: what is killed before that can be started again, and reads them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartSafety {
    /// The age of the oldest of them.
    pub oldest_age: Duration,
    /// Entries that can still be added before publishers trim it, about; `None`: nobody knows at which length they trim.
    pub entries: Option<u64>,
    /// How long that takes at the pace of now, about; `None`: nobody knows, or nothing comes.
    pub time: Option<Duration>,
    /// How long until it is older than the retention, after which other readers may trim it; `None`: there is no retention.
    pub retention: Option<Duration>,
}

/// How many of [`GivenUp`] are remembered.
const GIVEN_UP: usize = 10;

/// Entries that nobody will ever take, and that are kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The id of the first, `<ms>-<seq>`.
    pub entry: String,
    /// How many they are: all of a trace part, or the one that is no event.
    pub entries: usize,
    /// The stage that gave up.
    pub stage: &'static str,
    /// The plugin that refused them, if one did.
    pub plugin: Option<String>,
    /// Why, for people; may quote what a publisher sent.
    pub reason: String,
}

/// Written by the source, read by the API.
#[derive(Debug, Default)]
pub struct SourceStatus {
    words: Mutex<Words>,
    /// Which leadership lasts. The stages look at it, too.
    pub leadership: Leadership,
    /// Entries handed on.
    pub entries_read: AtomicU64,
    /// Entries acknowledged, dead letters among them.
    pub entries_acknowledged: AtomicU64,
    /// Entries moved to the dead-letter stream; by the embedded listener, which has none, given up.
    pub entries_dead: AtomicU64,
    /// Pending entries that the log no longer held when they were to be read again.
    pub entries_trimmed: AtomicU64,
    /// Entries that the log let go of before anybody had read them.
    pub entries_trimmed_unread: AtomicU64,
    /// Dead letters left pending in the log, because too many waited to be written; they are read again when those are through.
    pub dead_letters_left: AtomicU64,
    /// Dead letters that were pushed out of their stream by later ones.
    pub dead_letters_lost: AtomicU64,
    /// Connections lost, on which entries were read; attempts to make one are not counted.
    pub disconnects: AtomicU64,
    /// Settlements of trace parts that were thrown away on their way back, because another host had taken the lead since their entries were read: that one reads them again.
    pub settlements_fenced: AtomicU64,
    /// Settlements that were acknowledged and could not be journalled.
    pub settlements_unjournalled: AtomicU64,
    /// Times that this host has become leader or standby.
    pub role_changes: AtomicU64,
    /// Bytes of the journal of decisions, as of a few seconds ago.
    pub journal_bytes: AtomicU64,
    /// Entries that publishers offered and the embedded listener refused, because it held as much as it may.
    pub entries_refused: AtomicU64,
    /// Bytes of the entries that the embedded listener holds, as of a moment ago.
    pub held_bytes: AtomicU64,
    /// Connections that the embedded listener refused, or ended for what they did: too many, too slow, or not understood.
    pub connections_refused: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct Words {
    state: SourceState,
    stream: String,
    group: String,
    last_error: Option<String>,
    foreign_reader: Option<String>,
    role: Option<Role>,
    leader: Option<String>,
    lag: Option<u64>,
    pending: Option<u64>,
    restart_safety: Option<RestartSafety>,
    given_up: VecDeque<GivenUp>,
}

/// A copy of a source's status.
#[derive(Debug, Clone)]
pub struct StatusSnapshot {
    /// What it is doing.
    pub state: SourceState,
    /// The stream's name.
    pub stream: String,
    /// The consumer group's name.
    pub group: String,
    /// Why it is not running, or what went wrong last; for people, without secrets.
    pub last_error: Option<String>,
    /// A live consumer in our group that is not ours, and takes a part of every trace.
    pub foreign_reader: Option<String>,
    /// What this host is among those that may read the same log, as far as is known; `None`: not yet, or there can be no other.
    pub role: Option<Role>,
    /// Which of them leads: the name of its consumer.
    pub leader: Option<String>,
    /// Entries in the log that nobody has read yet, as of a few seconds ago; `None`: the log does not say.
    pub lag: Option<u64>,
    /// Entries that were read and are not acknowledged, as of a few seconds ago; `None`: the log does not say.
    pub pending: Option<u64>,
    /// How long the log keeps what is not acknowledged, as of a few seconds ago; `None`: all is acknowledged, or it is not known.
    pub restart_safety: Option<RestartSafety>,
    /// What the embedded listener gave up last, at most ten, the latest first.
    pub given_up: Vec<GivenUp>,
    /// Entries handed on since the start.
    pub entries_read: u64,
    /// Entries acknowledged since the start.
    pub entries_acknowledged: u64,
    /// Entries moved to the dead-letter stream since the start; by the embedded listener, given up.
    pub entries_dead: u64,
    /// Pending entries found trimmed since the start.
    pub entries_trimmed: u64,
    /// Entries trimmed before anybody had read them, since the start.
    pub entries_trimmed_unread: u64,
    /// Dead letters left pending in the log since the start, because too many waited to be written.
    pub dead_letters_left: u64,
    /// Dead letters pushed out of their stream by later ones, since the start.
    pub dead_letters_lost: u64,
    /// Connections lost since the start; attempts to make one are not counted.
    pub disconnects: u64,
    /// Trace parts and their settlements thrown away since the start, because another host had taken the lead.
    pub settlements_fenced: u64,
    /// Settlements since the start that could not be journalled.
    pub settlements_unjournalled: u64,
    /// Times since the start that this host has become leader or standby.
    pub role_changes: u64,
    /// Bytes of the journal of decisions, as of a few seconds ago.
    pub journal_bytes: u64,
    /// Entries refused by the embedded listener since the start.
    pub entries_refused: u64,
    /// Bytes of the entries that the embedded listener holds, as of a moment ago.
    pub held_bytes: u64,
    /// Connections refused or ended by the embedded listener since the start.
    pub connections_refused: u64,
}

impl SourceStatus {
    fn write(&self, change: impl FnOnce(&mut Words)) {
        change(&mut self.words.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Names what is read.
    pub fn set_names(&self, stream: &str, group: &str) {
        self.write(|words| {
            words.stream = stream.into();
            words.group = group.into();
        });
    }

    /// Changes the state; a source that runs, or has nothing to do but wait, has no error.
    pub fn set_state(&self, state: SourceState) {
        self.write(|words| {
            words.state = state;
            if matches!(state, SourceState::Running | SourceState::StandingBy) {
                words.last_error = None;
            }
        });
    }

    /// Notes what went wrong.
    pub fn set_error(&self, error: String) {
        self.write(|words| words.last_error = Some(error));
    }

    /// Takes back what went wrong, if it is this and nothing since.
    pub fn clear_error(&self, error: &str) {
        self.write(|words| drop(words.last_error.take_if(|last| last == error)));
    }

    /// Notes who leads, and whether that is us.
    pub fn set_role(&self, role: Role, leader: &str) {
        self.write(|words| {
            if words.role.replace(role) != Some(role) {
                self.role_changes.fetch_add(1, Ordering::Relaxed);
            }
            if words.leader.as_deref() != Some(leader) {
                words.leader = Some(leader.to_owned());
            }
        });
    }

    /// Notes, or clears, a reader that is not ours. Tells whether that is news.
    pub fn set_foreign_reader(&self, reader: Option<String>) -> bool {
        let mut news = false;
        self.write(|words| {
            news = words.foreign_reader != reader;
            words.foreign_reader = reader;
        });
        news
    }

    /// Notes how far reading and acknowledging are behind, as far as the log says.
    pub fn set_backlog(&self, lag: Option<u64>, pending: Option<u64>) {
        self.write(|words| (words.lag, words.pending) = (lag, pending));
    }

    /// Notes how long the log keeps what is not acknowledged.
    pub fn set_restart_safety(&self, safety: Option<RestartSafety>) {
        self.write(|words| words.restart_safety = safety);
    }

    /// Remembers what was given up, in the place of the oldest such.
    pub fn note_given_up(&self, given_up: GivenUp) {
        self.write(|words| {
            words.given_up.truncate(GIVEN_UP - 1);
            words.given_up.push_front(given_up);
        });
    }

    /// A copy.
    pub fn snapshot(&self) -> StatusSnapshot {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StatusSnapshot {
            state: words.state,
            stream: words.stream,
            group: words.group,
            last_error: words.last_error,
            foreign_reader: words.foreign_reader,
            role: words.role,
            leader: words.leader,
            lag: words.lag,
            pending: words.pending,
            restart_safety: words.restart_safety,
            given_up: words.given_up.into(),
            entries_read: count(&self.entries_read),
            entries_acknowledged: count(&self.entries_acknowledged),
            entries_dead: count(&self.entries_dead),
            entries_trimmed: count(&self.entries_trimmed),
            entries_trimmed_unread: count(&self.entries_trimmed_unread),
            dead_letters_left: count(&self.dead_letters_left),
            dead_letters_lost: count(&self.dead_letters_lost),
            disconnects: count(&self.disconnects),
            settlements_fenced: count(&self.settlements_fenced) + self.leadership.thrown_away(),
            settlements_unjournalled: count(&self.settlements_unjournalled),
            role_changes: count(&self.role_changes),
            journal_bytes: count(&self.journal_bytes),
            entries_refused: count(&self.entries_refused),
            held_bytes: count(&self.held_bytes),
            connections_refused: count(&self.connections_refused),
        }
    }
}
