//! Bytes that hold texts, and where in them each is: for all keys and values of a batch two pieces of memory, which are used again for a later one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a text is. Half as large as it would be in the machine's own words: there are dozens to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    begin: u32,
    length: u32,
}

/// The length of what is no text.
const NO_TEXT: u32 = u32::MAX;

impl Place {
    /// `None` when it is not within the first 4 GiB.
    pub fn new(begin: usize, length: usize) -> Option<Place> {
        let (begin, length) = (u32::try_from(begin).ok()?, u32::try_from(length).ok()?);
        begin.checked_add(length).filter(|_| length < NO_TEXT).map(|_| Place { begin, length })
    }

    /// Where something begins that is no text.
    pub fn of_no_text(begin: usize) -> Option<Place> {
        Some(Place {
            begin: u32::try_from(begin).ok()?,
            length: NO_TEXT,
        })
    }

    /// Whether a text is there.
    pub fn is_text(self) -> bool {
        self.length != NO_TEXT
    }

    /// Where it begins.
    pub fn begin(self) -> usize {
        self.begin as usize
    }

    /// Bytes that the text has.
    pub fn length(self) -> usize {
        self.length as usize
    }

    /// The text, of the bytes that it is in.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.begin()..][..self.length()]
    }
}

/// Bytes, and the places of texts in them. When it is dropped, its memory goes back to where it came from.
#[derive(Debug, Default)]
pub struct Texts {
    /// The bytes, what is between the texts among them.
    pub bytes: Vec<u8>,
    /// In the order in which they come, with the places of what stands between them.
    pub places: Vec<Place>,
    home: Option<Arc<Spares>>,
}

impl Texts {
    /// Appends a text. Nobody gathers more than 4 GiB of them: what would be behind that is not taken.
    pub fn push(&mut self, text: &[u8]) {
        if let Some(place) = Place::new(self.bytes.len(), text.len()) {
            self.places.push(place);
            self.bytes.extend_from_slice(text);
        }
    }
}

impl Drop for Texts {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.keep(std::mem::take(&mut self.bytes), std::mem::take(&mut self.places));
        }
    }
}

/// Memory that waits to be used again: fresh memory costs as much as it does to copy a reply into it.
#[derive(Debug, Default)]
pub struct Spares(Mutex<Vec<(Vec<u8>, Vec<Place>)>>);

/// As many as there are batches on their way, about.
const SPARES: usize = 6;
/// Bytes that one may have to be kept, at most: hundreds of usual entries fit, and large ones are rare.
const SPARE_BYTES: usize = 2 * 1024 * 1024;

impl Spares {
    /// Without texts, and with room for some if there is any to be had.
    pub fn take(self: &Arc<Self>) -> Texts {
        let (bytes, places) = self.list().pop().unwrap_or_default();
        Texts {
            bytes,
            places,
            home: Some(Arc::clone(self)),
        }
    }

    fn keep(&self, mut bytes: Vec<u8>, mut places: Vec<Place>) {
        let mut list = self.list();
        if list.len() < SPARES && bytes.capacity() + places.capacity() * size_of::<Place>() <= SPARE_BYTES {
            bytes.clear();
            places.clear();
            list.push((bytes, places));
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<(Vec<u8>, Vec<Place>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_unless_it_is_much() {
        let spares = Arc::<Spares>::default();
        let mut texts = spares.take();
        texts.push(b"key");
        texts.push(b"value");
        assert_eq!(texts.places.iter().map(|place| place.of(&texts.bytes)).collect::<Vec<_>>(), [&b"key"[..], b"value"]);
        let capacity = texts.bytes.capacity();
        drop(texts);
        let again = spares.take();
        assert_eq!((again.bytes.len(), again.places.len(), again.bytes.capacity()), (0, 0, capacity));
        let mut large = spares.take();
        large.bytes.reserve(SPARE_BYTES + 1);
        drop(large);
        assert_eq!(spares.list().len(), 0);
        drop((0..2 * SPARES).map(|_| spares.take()).collect::<Vec<_>>());
        assert_eq!(spares.list().len(), SPARES);
    }

    #[test]
    fn no_place_is_behind_four_gib() {
        let end = u32::MAX as usize;
        assert_eq!(Place::new(end, 0).map(Place::begin), Some(end));
        for (begin, length) in [(end + 1, 0), (0, end + 1), (end, 1), (0, end)] {
            assert_eq!(Place::new(begin, length), None);
        }
        assert_eq!(Place::of_no_text(end).map(Place::is_text), Some(false));
    }
}
