//! Names: texts that come again and again (agents, operations, attribute keys) are held once.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use ahash::RandomState;

/// A longer text is never interned.
pub const MAX_NAME_BYTES: usize = 256;

/// Bytes of text, and of what keeps it, that the process interns at most; later texts are owned by their span. Interned texts are never freed,
/// which is what makes reading one cost nothing; so there has to be an end to them.
pub const MAX_INTERNED_BYTES: u64 = 32 * 1024 * 1024;

/// What one text costs beside its own bytes: the entry, and its places in two tables.
const ENTRY_BYTES: u64 = 100;

/// Slots of the doorkeeper: a text is interned when it comes a second time, so that ids and numbers, which are
/// all different, do not fill the table.
const DOORKEEPER_SLOTS: usize = 1 << 14;

/// One interned text. Equal names are the same pointer, and each has a small dense index for tables beside it.
#[derive(Clone, Copy)]
pub struct Name(&'static Entry);

struct Entry {
    index: u32,
    text: Box<str>,
}

struct Interned(&'static Entry);

impl Borrow<str> for Interned {
    fn borrow(&self) -> &str {
        &self.0.text
    }
}
impl Hash for Interned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}
impl PartialEq for Interned {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}
impl Eq for Interned {}

struct Table {
    entries: HashSet<Interned, RandomState>,
    bytes: u64,
}

/// One table for the process: names of different stages compare by pointer. Stages on the hot path reach it through a
/// [`NameTable`], which locks only for names that it has not met before.
static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(|| RwLock::new(Table { entries: HashSet::default(), bytes: 0 }));
static INTERNED_BYTES: AtomicU64 = AtomicU64::new(0);

/// Names in one segment of [`BY_INDEX`].
const SEGMENT: usize = 4096;

/// Segments enough for all names that there is room for.
const SEGMENTS: usize = (MAX_INTERNED_BYTES / ENTRY_BYTES) as usize / SEGMENT + 1;

/// Names by index, for those who hold the index alone; read without a lock. A segment is made when the first of its names is.
static BY_INDEX: [OnceLock<Box<[OnceLock<Name>]>>; SEGMENTS] = [const { OnceLock::new() }; SEGMENTS];

fn place_of(index: u32) -> (usize, usize) {
    (index as usize / SEGMENT, index as usize % SEGMENT)
}

impl Name {
    /// The name for `text`, interned now if need be; `None` when it is too long or the table is full.
    pub fn intern(text: &str) -> Option<Name> {
        if text.len() > MAX_NAME_BYTES {
            return None;
        }
        if let Some(found) = Name::find(text) {
            return Some(found);
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = table.entries.get(text) {
            return Some(Name(found.0));
        }
        let bytes = text.len() as u64 + ENTRY_BYTES;
        if table.bytes + bytes > MAX_INTERNED_BYTES {
            return None;
        }
        let index = u32::try_from(table.entries.len()).ok()?;
        let entry: &'static Entry = Box::leak(Box::new(Entry { index, text: text.into() }));
        let (segment, at) = place_of(index);
        let segment = BY_INDEX.get(segment)?.get_or_init(|| (0..SEGMENT).map(|_| OnceLock::new()).collect());
        // Nobody else sets it: the table is locked.
        let _ = segment[at].set(Name(entry));
        table.entries.insert(Interned(entry));
        table.bytes += bytes;
        INTERNED_BYTES.store(table.bytes, Ordering::Relaxed);
        Some(Name(entry))
    }

    fn find(text: &str) -> Option<Name> {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        table.entries.get(text).map(|found| Name(found.0))
    }

    /// The text.
    pub fn as_str(self) -> &'static str {
        &self.0.text
    }

    /// Dense, from 0, never reused.
    pub fn index(self) -> u32 {
        self.0.index
    }

    /// The name with this index, if there is one.
    pub fn at(index: u32) -> Option<Name> {
        let (segment, at) = place_of(index);
        BY_INDEX.get(segment)?.get()?[at].get().copied()
    }

    /// Bytes interned so far in this process.
    pub fn interned_bytes() -> u64 {
        INTERNED_BYTES.load(Ordering::Relaxed)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl Eq for Name {}
impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.index.hash(state);
    }
}
impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A text of a span: interned when it repeats, owned when it does not. Sixteen bytes: spans wait by the million.
#[derive(Clone)]
pub enum Text {
    /// Its own; not empty.
    Own(Box<str>),
    /// Interned, or not there.
    Name(Option<Name>),
}

impl Default for Text {
    fn default() -> Self {
        Text::ABSENT
    }
}

impl Text {
    /// No text.
    pub const ABSENT: Text = Text::Name(None);

    /// `text`, owned; empty is absent.
    pub fn own(text: &str) -> Text {
        if text.is_empty() { Text::ABSENT } else { Text::Own(text.into()) }
    }

    /// The text; `""` when absent.
    pub fn as_str(&self) -> &str {
        match self {
            Text::Own(text) => text,
            Text::Name(name) => name.map_or("", Name::as_str),
        }
    }

    /// The text, if there is one.
    pub fn get(&self) -> Option<&str> {
        (!self.is_absent()).then(|| self.as_str())
    }

    /// Whether there is none.
    pub fn is_absent(&self) -> bool {
        matches!(self, Text::Name(None))
    }

    /// Heap bytes that only this value holds.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Text::Own(text) => text.len(),
            Text::Name(_) => 0,
        }
    }

    /// Of two texts for the same thing, the one that every order of arrival settles on: any text before none, then the longer,
    /// then the greater in byte order.
    pub(super) fn settle(&mut self, other: Text) {
        let rank = |text: &Text| (text.as_str().len(), text.as_str().to_owned());
        if *self != other && rank(&other) > rank(self) {
            *self = other;
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Text::Name(a), Text::Name(b)) => a == b,
            _ => self.as_str() == other.as_str(),
        }
    }
}
impl Eq for Text {}
impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One thread's way to the names: finds known ones without a lock, and lets a text in when it comes a second time.
pub struct NameTable {
    known: HashSet<Interned, RandomState>,
    doorkeeper: Box<[u64]>,
    /// Names that it may yet add to those of the process.
    room: usize,
}

impl Default for NameTable {
    fn default() -> Self {
        NameTable {
            known: HashSet::default(),
            doorkeeper: vec![0; DOORKEEPER_SLOTS].into_boxed_slice(),
            room: usize::MAX,
        }
    }
}

impl NameTable {
    /// One that adds no more than so many names to those of the process, for texts that a plugin chooses: it cannot fill the table for others.
    pub fn bounded(new_names: usize) -> NameTable {
        NameTable { room: new_names, ..NameTable::default() }
    }

    /// `text` as a [`Text`]: a name when it has been seen before.
    pub fn text(&mut self, text: &str) -> Text {
        if text.is_empty() {
            return Text::ABSENT;
        }
        if text.len() > MAX_NAME_BYTES {
            return Text::Own(text.into());
        }
        if let Some(found) = self.known.get(text) {
            return Text::Name(Some(Name(found.0)));
        }
        let hash = self.known.hasher().hash_one(text) | 1;
        let slot = &mut self.doorkeeper[(hash >> 32) as usize % DOORKEEPER_SLOTS];
        if *slot != hash {
            *slot = hash;
            return Text::Own(text.into());
        }
        self.name(text).map_or_else(|| Text::Own(text.into()), |name| Text::Name(Some(name)))
    }

    /// `text` as a name at once, for texts that are known to be few (attribute keys); `None` as for [`Name::intern`].
    pub fn name(&mut self, text: &str) -> Option<Name> {
        if let Some(found) = self.known.get(text) {
            return Some(Name(found.0));
        }
        let name = match Name::find(text) {
            Some(found) => found,
            None => {
                self.room = self.room.checked_sub(1)?;
                Name::intern(text)?
            }
        };
        self.known.insert(Interned(name.0));
        Some(name)
    }
}

impl fmt::Debug for NameTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameTable").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_a_name_the_second_time() {
        let mut names = NameTable::default();
        assert!(matches!(names.text("first-seen-name"), Text::Own(_)));
        assert!(matches!(names.text("first-seen-name"), Text::Name(_)));
        assert_eq!(names.text("first-seen-name"), Text::own("first-seen-name"));
        assert!(names.text("").is_absent());
    }

    #[test]
    fn a_text_is_no_larger_than_a_pointer_and_a_length() {
        assert_eq!(size_of::<Text>(), 16);
    }

    #[test]
    fn a_name_is_found_by_its_index() {
        let name = Name::intern("found by its index").expect("a name");
        assert_eq!(Name::at(name.index()), Some(name));
        assert_eq!(Name::at(u32::MAX), None);
    }

    #[test]
    fn long_texts_are_never_interned() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        assert!(Name::intern(&long).is_none());
        let mut names = NameTable::default();
        names.text(&long);
        assert!(matches!(names.text(&long), Text::Own(_)));
    }

    #[test]
    fn a_bounded_table_adds_so_many_names_and_still_finds_the_others() {
        let mut names = NameTable::bounded(1);
        assert!(names.name("bounded-1").is_some());
        assert!(names.name("bounded-2").is_none());
        assert!((0..3).all(|_| matches!(names.text("bounded-3"), Text::Own(_))));
        assert!(names.name("bounded-1").is_some());
        Name::intern("bounded-2").expect("room in the process");
        assert!(names.name("bounded-2").is_some(), "somebody else let it in");
    }

    #[test]
    fn settling_does_not_depend_on_order() {
        for (a, b, settled) in [("", "x", "x"), ("ab", "b", "ab"), ("b", "c", "c")] {
            let (mut left, mut right) = (Text::own(a), Text::own(b));
            left.settle(Text::own(b));
            right.settle(Text::own(a));
            assert_eq!(left, right);
            assert_eq!(left.as_str(), settled);
        }
    }
}
