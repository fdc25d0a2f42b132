//! Orders of fields that have come before. An agent writes the same keys in the same order with every span, so what each of them is, how its attribute
//! is called, and where that one stands among the others, is worked out once.

use super::fields::Field;
use super::text::readable;
use crate::model::{Name, NameTable};

/// Steps that are remembered. Thirty agents of different make have about a thousand.
const MAX_STEPS: usize = 4096;

/// Ways on from one step that are remembered; they are looked through.
const MAX_WAYS: usize = 32;

/// The longest key that is remembered.
const MAX_KEY_BYTES: usize = 256;

/// So often something new finds no room before all is forgotten: what fills the table may be what nobody sends any more.
const MAX_TURNED_AWAY: usize = 1 << 16;

/// A tree: from each step the keys that have come next.
#[derive(Debug)]
pub(super) struct Shapes {
    steps: Vec<Step>,
    turned_away: usize,
}

#[derive(Debug, Default)]
struct Step {
    key: Box<[u8]>,
    known: Option<Known>,
    ways: Vec<u16>,
    /// If an entry has ended here: its attributes, counted as they came, in byte order of their keys.
    order: Option<Box<[u8]>>,
}

/// What is known of a field by its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// What it is.
    pub field: Field,
    /// Of an attribute, its name, unless the table of names is full.
    pub name: Option<Name>,
}

/// A step; the beginning is before the first field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Default for Shapes {
    fn default() -> Self {
        Shapes {
            steps: vec![Step::default()],
            turned_away: 0,
        }
    }
}

impl Shapes {
    /// Goes on from a step by a field with this key: where to, and what that field is. `None` when there is no room to remember it.
    pub fn step(&mut self, from: Place, key: &[u8], names: &mut NameTable) -> Option<(Place, Known)> {
        for way in &self.steps.get(usize::from(from.0))?.ways {
            let step = self.steps.get(usize::from(*way))?;
            if *step.key == *key {
                return Some((Place(*way), step.known?));
            }
        }
        self.learn(from, key, names)
    }

    fn learn(&mut self, from: Place, key: &[u8], names: &mut NameTable) -> Option<(Place, Known)> {
        let ways = self.steps.get(usize::from(from.0))?.ways.len();
        if self.steps.len() >= MAX_STEPS || ways >= MAX_WAYS || key.len() > MAX_KEY_BYTES {
            self.turned_away += 1;
            if self.turned_away >= MAX_TURNED_AWAY {
                *self = Shapes::default();
            }
            return None;
        }
        let field = Field::of(key);
        let name = field.attribute_key(key).and_then(|own| names.name(&readable(own)));
        let (place, known) = (Place(u16::try_from(self.steps.len()).ok()?), Known { field, name });
        self.steps.push(Step {
            key: key.into(),
            known: Some(known),
            ..Step::default()
        });
        self.steps.get_mut(usize::from(from.0))?.ways.push(place.0);
        Some((place, known))
    }

    /// The order of the attributes of an entry that ends at this step, if one has ended there.
    pub fn order(&self, end: Place) -> Option<&[u8]> {
        self.steps.get(usize::from(end.0))?.order.as_deref()
    }

    /// Remembers that order, for those that have no more attributes than a byte counts.
    pub fn learn_order(&mut self, end: Place, order: &[usize]) {
        let order: Option<Box<[u8]>> = order.iter().map(|at| u8::try_from(*at).ok()).collect();
        if let Some(step) = self.steps.get_mut(usize::from(end.0)) {
            step.order = order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_was_gone_is_gone_again() {
        let (mut shapes, mut names) = (Shapes::default(), NameTable::default());
        let mut end =
            |keys: &[&str]| keys.iter().try_fold(Place::default(), |from, key| Some(shapes.step(from, key.as_bytes(), &mut names)?.0));
        let (one, other) = (end(&["trace_id", "span_id", "color"]), end(&["span_id", "trace_id", "color"]));
        assert!(one.is_some() && other.is_some() && one != other);
        assert_eq!((end(&["trace_id", "span_id", "color"]), end(&["span_id", "trace_id", "color"])), (one, other));
    }

    #[test]
    fn hostile_keys_cost_bounded_memory_and_good_ones_are_learned_again() {
        let (mut shapes, mut names) = (Shapes::default(), NameTable::bounded(100));
        for number in 0..2 * MAX_TURNED_AWAY {
            shapes.step(Place::default(), format!("hostile {number}").as_bytes(), &mut names);
            let steps = shapes.steps.len();
            assert!(steps <= MAX_STEPS && shapes.steps[0].ways.len() <= MAX_WAYS, "{steps}");
        }
        let missed = (0..MAX_TURNED_AWAY).take_while(|_| shapes.step(Place::default(), b"trace_id", &mut names).is_none()).count();
        assert!(missed < MAX_TURNED_AWAY, "it is never learned");
        assert!(shapes.step(Place::default(), &[b'k'; MAX_KEY_BYTES + 1], &mut names).is_none());
    }
}
