//! The entries of an `XREADGROUP` reply, found in its bytes: no value of its own is made for any of them.

use std::ops::Range;

use bytes::Bytes;

use super::reply::EntryId;
use super::tap::{Header, NoReply, header, text};
use crate::source::Batch;

/// Bytes of a key or a value with its header, about.
const USUAL_BYTES: usize = 16;

/// Entries in the order of the log, as they came.
#[derive(Debug)]
pub(super) struct Entries {
    bytes: Bytes,
    list: Vec<RawEntry>,
    /// Where the keys and values of all of them are.
    texts: Vec<Range<usize>>,
}

/// Where an entry is.
#[derive(Debug)]
pub(super) struct RawEntry {
    id: EntryId,
    /// Which of all texts are its keys and values; `None` when Redis no longer has the entry.
    fields: Option<Range<usize>>,
}

impl Entries {
    /// Finds the entries of the one stream in a reply.
    ///
    /// # Errors
    /// It is no such reply. Entries may be in it all the same: they are pending, and have to be read again.
    pub fn find(bytes: Bytes) -> Result<Entries, NoReply> {
        let mut walk = Walk { bytes: &bytes, at: 0 };
        let (mut list, mut texts) = (Vec::new(), Vec::with_capacity(bytes.len() / USUAL_BYTES));
        // A list of streams, or a map in the newer protocol; none at all, when there are no entries.
        let streams = walk.next()?;
        if !streams.absent && !matches!(streams.kind, b'*' | b'%') {
            return Err(NoReply);
        }
        if streams.values > 0 {
            if streams.kind == b'*' {
                walk.list()?;
            }
            walk.text()?;
            let count = walk.list()?.unwrap_or_default();
            list.reserve(count.min(bytes.len() / 8));
            for _ in 0..count {
                walk.list()?;
                let id = walk.text()?;
                let id = EntryId::parse(&bytes[id]).ok_or(NoReply)?;
                let fields = match walk.list()? {
                    Some(count) => {
                        let first = texts.len();
                        for _ in 0..count {
                            texts.push(walk.text()?);
                        }
                        Some(first..texts.len())
                    }
                    None => None,
                };
                list.push(RawEntry { id, fields });
            }
        }
        Ok(Entries { bytes, list, texts })
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
        self.list.iter().filter(|entry| entry.fields.is_none()).map(|entry| entry.id).collect()
    }

    /// Appends to `batch` what Redis still has. `stamp` is asked for the stream time of every entry, in their order.
    pub fn push(&self, batch: &mut Batch, mut stamp: impl FnMut(EntryId) -> u64) {
        let Entries { bytes, list, texts } = self;
        for entry in list {
            let at_ms = stamp(entry.id);
            let Some(fields) = entry.fields.clone() else { continue };
            batch.push_entry(entry.id.receipt(), at_ms);
            for pair in texts[fields].chunks_exact(2) {
                batch.push_field(&bytes[pair[0].clone()], &bytes[pair[1].clone()]);
            }
        }
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn next(&mut self) -> Result<Header, NoReply> {
        let header = header(self.bytes, self.at)?.ok_or(NoReply)?;
        self.at = header.end;
        Ok(header)
    }

    /// The number of items of a list; `None` when there is no list.
    fn list(&mut self) -> Result<Option<usize>, NoReply> {
        let header = self.next()?;
        match header.kind {
            _ if header.absent => Ok(None),
            b'*' => Ok(Some(header.values)),
            _ => Err(NoReply),
        }
    }

    /// Where a text is.
    fn text(&mut self) -> Result<Range<usize>, NoReply> {
        let (begin, length) = text(self.bytes, self.at).ok_or(NoReply)?;
        let end = begin + length;
        self.at = end + 2;
        if self.at > self.bytes.len() { Err(NoReply) } else { Ok(begin..end) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply;
    use super::*;

    const RESP2: &str = "*1\r\n*2\r\n$1\r\ns\r\n*3\r\n*2\r\n$3\r\n5-0\r\n*4\r\n$1\r\na\r\n$2\r\n\r\n\r\n$1\r\nb\r\n$0\r\n\r\n*2\r\n$3\r\n5-1\r\n*-1\r\n*2\r\n$3\r\n7-0\r\n*0\r\n";

    fn read(reply: &str) -> Result<Vec<String>, NoReply> {
        let entries = Entries::find(Bytes::copy_from_slice(reply.as_bytes()))?;
        let (mut batch, mut stamps) = (Batch::default(), Vec::new());
        entries.push(&mut batch, |id| {
            stamps.push(id);
            id.ms + 1
        });
        assert_eq!(stamps.len(), entries.len());
        assert_eq!(entries.ends(), stamps.first().copied().zip(stamps.last().copied()));
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
        let (mut expected, mut found) = (Batch::default(), Batch::default());
        for (id, fields) in reply::stream_entries(&value).iter().filter_map(reply::entry) {
            fields.into_iter().for_each(|fields| reply::push(&mut expected, id, id.seq, fields));
        }
        Entries::find(Bytes::from_static(RESP2.as_bytes())).expect("entries").push(&mut found, |id| id.seq);
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
