//! Keys that have come before: what each is, how its attribute is called, and where that one stands among others, is worked out once.
//!
//! Agents write the same two dozen keys with every span, in an order that is another one each time.

use ahash::RandomState;
use hashbrown::HashTable;

use super::fields::Field;
use super::text::readable;
use crate::model::{Name, NameTable};

/// Keys that are remembered. All runtimes together write some forty.
const MAX_KEYS: usize = 512;

/// The longest key that is remembered.
const MAX_KEY_BYTES: usize = 256;

/// Places of [`Keys::last`], a power of two: few of forty keys share one.
const PLACES: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 10;

/// So often something new finds no room before all is forgotten: what fills the table may be what nobody sends any more.
const MAX_TURNED_AWAY: usize = 1 << 16;

/// The table of keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_key: HashTable<u16>,
    hasher: RandomState,
    learned: Vec<Learned>,
    /// By [`place`]: the key that was found there last, one more than its number. Most are found here again, and nothing is hashed.
    last: Vec<u16>,
    /// Attributes among them, in byte order of their own keys.
    sorted: Vec<u16>,
    turned_away: usize,
    generation: u64,
}

#[derive(Debug)]
struct Learned {
    key: Box<[u8]>,
    known: Known,
}

/// What is known of a field by its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// What it is.
    pub field: Field,
    /// Of an attribute: its name, unless the table of names is full.
    pub name: Option<Name>,
    /// Of an attribute with a name: a number that is greater for names that come later in byte order, and the same for the same name, until the next key is
    /// learned.
    pub rank: Option<u16>,
}

impl Keys {
    /// What a field with this key is.
    pub fn of(&mut self, key: &[u8], names: &mut NameTable) -> Known {
        let place = place(key);
        let last = self.last.get(place).and_then(|number| self.learned.get(usize::from(*number).wrapping_sub(1)));
        match last {
            Some(own) if *own.key == *key => own.known,
            _ => self.find(place, key, names),
        }
    }

    fn find(&mut self, place: usize, key: &[u8], names: &mut NameTable) -> Known {
        let hash = self.hasher.hash_one(key);
        let learned = &self.learned;
        let Some(at) = self.by_key.find(hash, |at| learned.get(usize::from(*at)).is_some_and(|own| *own.key == *key)) else {
            return self.learn(hash, key, names);
        };
        self.last.resize(PLACES, 0);
        if let Some(last) = self.last.get_mut(place) {
            *last = at + 1;
        }
        learned.get(usize::from(*at)).map_or_else(|| unknown(key), |own| own.known)
    }

    /// Grows whenever ranks may have changed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn learn(&mut self, hash: u64, key: &[u8], names: &mut NameTable) -> Known {
        let mut known = unknown(key);
        if self.learned.len() >= MAX_KEYS || key.len() > MAX_KEY_BYTES {
            self.turned_away += 1;
            if self.turned_away >= MAX_TURNED_AWAY {
                *self = Keys {
                    generation: self.generation + 1,
                    ..Keys::default()
                };
            }
            return known;
        }
        self.generation += 1;
        known.name = known.field.attribute_key(key).and_then(|own| names.name(&readable(own)));
        let at = self.learned.len() as u16;
        self.learned.push(Learned { key: key.into(), known });
        let (hasher, learned) = (&self.hasher, &self.learned);
        self.by_key.insert_unique(hash, at, |at| learned.get(usize::from(*at)).map_or(0, |own| hasher.hash_one(&own.key)));
        let Some(name) = known.name else { return known };
        let text = |at: &u16| self.learned.get(usize::from(*at)).and_then(|own| own.known.name).map_or("", Name::as_str);
        let place = self.sorted.partition_point(|other| text(other) < name.as_str());
        self.sorted.insert(place, at);
        let (mut rank, mut before) = (0, None);
        for at in &self.sorted {
            let Some(own) = self.learned.get_mut(usize::from(*at)) else { continue };
            // Two keys may be the same attribute's.
            rank += u16::from(before.is_some_and(|before| before != own.known.name));
            before = Some(own.known.name);
            own.known.rank = Some(rank);
        }
        self.learned.last().map_or(known, |own| own.known)
    }
}

/// Where a key is looked for first, by its length and its first and last bytes. Whoever makes up keys that share a place makes them cost a hash each, no more.
fn place(key: &[u8]) -> usize {
    let number = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let ends = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (None, _) => key.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
        (first, last) => number(first) ^ number(last).rotate_left(29),
    };
    let mixed = (ends ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - PLACE_BITS)) as usize
}

fn unknown(key: &[u8]) -> Known {
    Known {
        field: Field::of(key),
        name: None,
        rank: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_in_byte_order_whenever_a_key_was_learned() {
        let (mut keys, mut names) = (Keys::default(), NameTable::default());
        let given = ["b", "trace_id", "a", "meshtrace:text:ab", "z", "aa", "b"];
        for key in given {
            let before = keys.generation();
            let learned = keys.learned.len();
            keys.of(key.as_bytes(), &mut names);
            assert_eq!(keys.generation() > before, keys.learned.len() > learned, "{key}");
        }
        let rank = |key: &str, keys: &mut Keys| keys.of(key.as_bytes(), &mut NameTable::default()).rank;
        let ranks: Vec<u16> = ["a", "aa", "meshtrace:text:ab", "b", "z"].iter().filter_map(|key| rank(key, &mut keys)).collect();
        assert!(ranks.len() == 5 && ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!((rank("trace_id", &mut keys), keys.learned.len()), (None, 6));
        let twice = (rank("meshtrace:json:z", &mut keys), rank("z", &mut keys));
        assert!(twice.0.is_some() && twice.0 == twice.1, "{twice:?}");
    }

    #[test]
    fn keys_that_share_a_place_are_told_apart() {
        let (mut keys, mut names) = (Keys::default(), NameTable::default());
        let own: Vec<String> = (0..MAX_KEYS).map(|number| format!("{number}")).collect();
        let wanted: Vec<_> = own.iter().map(|key| keys.of(key.as_bytes(), &mut names).name.map(Name::as_str)).collect();
        for _ in 0..3 {
            for (key, wanted) in own.iter().zip(&wanted) {
                assert_eq!((keys.of(key.as_bytes(), &mut names).name.map(Name::as_str), *wanted), (*wanted, Some(key.as_str())));
            }
        }
        let places: std::collections::HashSet<usize> = own.iter().map(|key| place(key.as_bytes())).collect();
        assert!(places.len() < own.len(), "none of them share a place");
    }

    #[test]
    fn hostile_keys_cost_bounded_memory_and_good_ones_are_learned_again() {
        let (mut keys, mut names) = (Keys::default(), NameTable::bounded(100));
        for number in 0..2 * MAX_TURNED_AWAY {
            keys.of(format!("hostile {number}").as_bytes(), &mut names);
            assert!(keys.learned.len() <= MAX_KEYS);
        }
        let missed = (0..MAX_TURNED_AWAY).take_while(|_| keys.of(b"hostile 1", &mut names).name.is_none()).count();
        assert!(missed < MAX_TURNED_AWAY, "it is never learned");
        assert!(keys.of(&[b'k'; MAX_KEY_BYTES + 1], &mut names).name.is_none());
    }
}
