//! Which dead letters there are: a trace's entries are given up together, so they are listed together.

use std::collections::HashMap;

use super::super::reply::EntryId;
use super::Letter;
use super::retry::FIELDS_MAX;
use crate::decode;
use crate::model::TraceId;

/// Entries of one trace that were given up for the same reason; or one entry that names no trace.
#[derive(Debug)]
pub struct Burial {
    of: Of,
    /// The stage that gave up.
    pub stage: String,
    /// The plugin that refused it, if one did.
    pub plugin: Option<String>,
    /// Why, for people; may quote what an agent sent.
    pub reason: String,
    /// Its dead letters, oldest first; at least one.
    pub letters: Vec<Known>,
}

/// What belongs together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Trace(TraceId),
    /// An entry that names no trace.
    Letter(EntryId),
}

/// One dead letter, without its fields.
#[derive(Debug, Clone)]
pub struct Known {
    id: EntryId,
    /// Number of the entry's own fields. 0: they had been lost before it was buried.
    pub fields: usize,
    /// Whether its fields are the host's own account of a span, because the log had lost the entry.
    pub rebuilt: bool,
}

impl Known {
    /// Its id in the stream of dead letters.
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// Why it cannot be retried, if it cannot.
    pub fn hindrance(&self) -> Option<String> {
        match self.fields {
            0 => Some("its fields had left the log before it was buried, or were too many bytes to be read".into()),
            1..=FIELDS_MAX => None,
            count => Some(format!("it has {count} fields, and at most {FIELDS_MAX} can be put back")),
        }
    }
}

impl Burial {
    /// The trace, if its entries name one.
    pub fn trace(&self) -> Option<&TraceId> {
        self.of.trace()
    }

    /// When its latest entry was buried: Unix milliseconds, by the clock of Redis.
    pub fn buried_ms(&self) -> u64 {
        self.latest().ms
    }

    /// The id of its first dead letter, which stands for all of them.
    pub fn id(&self) -> String {
        self.letters.first().map(Known::id).unwrap_or_default()
    }

    /// Whether `name` is the id of its trace, or of one of its dead letters.
    pub fn is_called(&self, name: &str) -> bool {
        let letter = EntryId::parse(name.as_bytes());
        let is_trace = || !name.is_empty() && self.trace() == Some(&TraceId::parse(name));
        is_trace() || letter.is_some_and(|id| self.letters.iter().any(|own| own.id == id))
    }

    fn latest(&self) -> EntryId {
        self.letters.last().map_or(EntryId::default(), |letter| letter.id)
    }
}

impl Of {
    fn trace(&self) -> Option<&TraceId> {
        match self {
            Of::Trace(trace) => Some(trace),
            Of::Letter(_) => None,
        }
    }
}

/// All dead letters of one trace, or one that names no trace: what is shown, retried and dropped together.
#[derive(Debug)]
pub struct Whole {
    of: Of,
    /// Its dead letters, oldest first; at least one.
    pub letters: Vec<Known>,
}

impl Whole {
    /// The trace, if its entries name one.
    pub fn trace(&self) -> Option<&TraceId> {
        self.of.trace()
    }
}

/// The dead letters that there are, without their fields.
#[derive(Debug, Default)]
pub struct Index {
    burials: Vec<Burial>,
    letters: usize,
    places: HashMap<(Of, Why), usize>,
}

/// Stage, plugin and reason.
type Why = (String, Option<String>, String);

impl Index {
    /// Takes in the next letter of the stream.
    pub(super) fn add(&mut self, letter: &Letter) {
        let trace = decode::trace_of(letter.fields());
        let of = trace.map_or_else(|| Of::Letter(letter.entry_id()), Of::Trace);
        let said = |key| letter.said(key).map(str::to_owned);
        let (stage, plugin, reason) = (said("stage").unwrap_or_default(), said("plugin"), said("reason").unwrap_or_default());
        let key = (of, (stage, plugin, reason));
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => {
                let (of, (stage, plugin, reason)) = key.clone();
                self.places.insert(key, self.burials.len());
                let letters = Vec::new();
                self.burials.push(Burial { of, stage, plugin, reason, letters });
                self.burials.len() - 1
            }
        };
        self.burials[place].letters.push(Known {
            id: letter.entry_id(),
            fields: letter.field_count(),
            rebuilt: letter.said("rebuilt").is_some(),
        });
        self.letters += 1;
    }

    /// When all have been added: the latest burial comes last.
    pub(super) fn sorted(mut self) -> Index {
        self.burials.sort_by_key(Burial::latest);
        self.places = HashMap::new();
        self
    }

    /// Number of dead letters.
    pub fn letters(&self) -> usize {
        self.letters
    }

    /// All burials, the latest last.
    pub fn burials(&self) -> &[Burial] {
        &self.burials
    }

    /// What these burials are of, each once, and whole: with what else of the same trace was given up for other reasons.
    pub fn whole<'a>(&'a self, chosen: impl IntoIterator<Item = &'a Burial>) -> Vec<Whole> {
        let mut places: HashMap<&Of, usize> = HashMap::new();
        let mut wholes = Vec::new();
        for burial in chosen {
            places.entry(&burial.of).or_insert_with(|| {
                wholes.push(Whole {
                    of: burial.of.clone(),
                    letters: Vec::new(),
                });
                wholes.len() - 1
            });
        }
        for burial in &self.burials {
            if let Some(place) = places.get(&burial.of) {
                wholes[*place].letters.extend_from_slice(&burial.letters);
            }
        }
        wholes.iter_mut().for_each(|whole| whole.letters.sort_by_key(|letter| letter.id));
        wholes
    }
}
