//! The entries of an `XREADGROUP` reply, by the places of its texts: no value of its own is made for any of them.

use std::ops::Range;

use super::reply::EntryId;
use super::tap::{Header, NoReply, any_header};
use crate::source::Batch;
use crate::source::texts::{Place, Texts};

/// Entries in the order of the log, as they came.
#[derive(Debug)]
pub(super) struct Entries {
    reply: Texts,
    list: Vec<RawEntry>,
}

/// Where an entry is.
#[derive(Debug)]
struct RawEntry {
    id: EntryId,
    /// Which of all places are those of its keys and values; `None` when Redis no longer has the entry.
    texts: Option<Range<usize>>,
}

impl Entries {
    /// Finds the entries of the one stream in a reply.
    ///
    /// # Errors
    /// It is no such reply. Entries may be in it all the same: they are pending, and have to be read again.
    pub fn find(reply: Texts) -> Result<Entries, NoReply> {
        let mut walk = Walk { reply: &reply, at: 0 };
        let mut list = Vec::new();
        // A list of streams, or a map in the newer protocol; none at all, when there are no entries.
        let streams = walk.header()?;
        if !streams.absent && !matches!(streams.kind, b'*' | b'%') {
            return Err(NoReply);
        }
        if streams.values > 0 {
            if streams.kind == b'*' {
                walk.list()?;
            }
            walk.text()?;
            let count = walk.list()?.unwrap_or_default();
            list.reserve(count.min(reply.places.len()));
            for _ in 0..count {
                walk.list()?;
                let id = EntryId::parse(walk.text()?).ok_or(NoReply)?;
                let texts = walk.list()?.map(|count| walk.texts(count)).transpose()?;
                list.push(RawEntry { id, texts });
            }
        }
        Ok(Entries { reply, list })
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The first and the last id.
    pub fn ends(&self) -> Option<(EntryId, EntryId)> {
        self.list.first().map(|entry| entry.id).zip(self.list.last().map(|entry| entry.id))
    }

    /// Those that Redis no longer has.
    pub fn gone(&self) -> Vec<EntryId> {
        self.list.iter().filter(|entry| entry.texts.is_none()).map(|entry| entry.id).collect()
    }

    /// A batch of what Redis still has. `stamp` is asked for the stream time of every entry, in their order.
    pub fn into_batch(self, mut stamp: impl FnMut(EntryId) -> u64) -> Batch {
        let Entries { reply, list } = self;
        let mut batch = Batch::of(reply, list.len());
        for entry in list {
            let at_ms = stamp(entry.id);
            if let Some(texts) = entry.texts {
                batch.push_found(entry.id.receipt(), at_ms, texts);
            }
        }
        batch
    }
}

/// From place to place.
struct Walk<'a> {
    reply: &'a Texts,
    at: usize,
}

impl<'a> Walk<'a> {
    fn next(&mut self) -> Result<Place, NoReply> {
        let place = self.reply.places.get(self.at).ok_or(NoReply)?;
        self.at += 1;
        Ok(*place)
    }

    fn header(&mut self) -> Result<Header, NoReply> {
        match self.next()? {
            place if place.is_text() => Err(NoReply),
            place => any_header(&self.reply.bytes, place.begin())?.ok_or(NoReply),
        }
    }

    /// The number of items of a list; `None` when there is no list.
    fn list(&mut self) -> Result<Option<usize>, NoReply> {
        let header = self.header()?;
        match header.kind {
            _ if header.absent => Ok(None),
            b'*' => Ok(Some(header.values)),
            _ => Err(NoReply),
        }
    }

    fn text(&mut self) -> Result<&'a [u8], NoReply> {
        let place = self.next()?;
        if place.is_text() { Ok(place.of(&self.reply.bytes)) } else { Err(NoReply) }
    }

    /// So many texts, but for the last one of an odd number: which of all places they are.
    fn texts(&mut self, count: usize) -> Result<Range<usize>, NoReply> {
        let (first, end) = (self.at, self.at.checked_add(count).ok_or(NoReply)?);
        let places = self.reply.places.get(first..end).ok_or(NoReply)?;
        if !places.iter().all(|place| place.is_text()) {
            return Err(NoReply);
        }
        self.at = end;
        Ok(first..end - count % 2)
    }
}

/// The entries in bytes that are one reply.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn find_in(bytes: &[u8]) -> Result<Entries, NoReply> {
    super::tap::whole(bytes).ok_or(NoReply).and_then(Entries::find)
}

#[cfg(test)]
mod tests {
    use super::super::reply;
    use super::*;

    const RESP2: &str = "*1\r\n*2\r\n$1\r\ns\r\n*3\r\n*2\r\n$3\r\n5-0\r\n*4\r\n$1\r\na\r\n$2\r\n\r\n\r\n$1\r\nb\r\n$0\r\n\r\n*2\r\n$3\r\n5-1\r\n*-1\r\n*2\r\n$3\r\n7-0\r\n*0\r\n";

    fn read(reply: &str) -> Result<Vec<String>, NoReply> {
        let entries = find_in(reply.as_bytes())?;
        let (count, ends, mut stamps) = (entries.len(), entries.ends(), Vec::new());
        let mut batch = entries.into_batch(|id| {
            stamps.push(id);
            id.ms + 1
        });
        assert_eq!((stamps.len(), stamps.first().copied().zip(stamps.last().copied())), (count, ends));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields =
            |fields: Vec<(&[u8], &[u8])>| fields.iter().map(|(key, value)| format!(" {}={:?}", text(key), text(value))).collect::<String>();
        Ok(batch.drain().map(|entry| format!("{}@{}{}", entry.receipt, entry.at_ms, fields(entry.fields().collect()))).collect())
    }

    #[test]
    fn entries_are_found_in_either_protocol() {
        let expected = Ok(vec!["5-0@6 a=\"\\r\\n\" b=\"\"".to_owned(), "7-0@8".to_owned()]);
        assert_eq!(read(RESP2), expected);
        assert_eq!(read(&RESP2.replacen("*1\r\n*2\r\n", "%1\r\n", 1)), expected);
        for nothing in ["*-1\r\n", "_\r\n", "*0\r\n", "*1\r\n*2\r\n$1\r\ns\r\n*0\r\n"] {
            assert_eq!(read(nothing), Ok(vec![]), "{nothing:?}");
        }
    }

    #[test]
    fn the_library_finds_the_same() {
        let value = redis::parse_redis_value(RESP2.as_bytes()).expect("a reply");
        let mut expected = Batch::default();
        for (id, fields) in reply::stream_entries(&value).iter().filter_map(reply::entry) {
            fields.into_iter().for_each(|fields| reply::push(&mut expected, id, id.seq, fields));
        }
        let found = find_in(RESP2.as_bytes()).expect("entries").into_batch(|id| id.seq);
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }

    #[test]
    fn half_a_reply_and_other_replies_are_errors_and_never_a_panic() {
        for end in 0..RESP2.len() {
            assert_eq!(read(&RESP2[..end]), Err(NoReply), "{end}");
        }
        for other in [
            ":5\r\n",
            "*1\r\n:1\r\n",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$1\r\nx\r\n*0\r\n",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*1\r\n$9\r\na\r\n",
            "*9999999999\r\n",
        ] {
            assert_eq!(read(other), Err(NoReply), "{other:?}");
        }
    }
}
