//! The fields of an entry that is held, in one piece.

use super::bounds;

/// Keys and values in the order they came, each behind its length: one allocation an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Box<[u8]>);

impl Payload {
    /// Of keys and values by turns; a key without a value is left out. Each is at most a request long.
    pub fn pack<'a>(keys_and_values: impl Iterator<Item = &'a [u8]> + Clone) -> Payload {
        let size = keys_and_values.clone().map(|text| text.len() + 4).sum();
        let mut bytes = Vec::with_capacity(size);
        let mut texts = keys_and_values;
        while let (Some(key), Some(value)) = (texts.next(), texts.next()) {
            for text in [key, value] {
                let text = &text[..text.len().min(bounds::REQUEST_BYTES)];
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                bytes.extend_from_slice(text);
            }
        }
        Payload(bytes.into_boxed_slice())
    }

    /// Keys and values in the order they came.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || Some((cut(&mut rest)?, cut(&mut rest)?)))
    }

    /// Bytes held for the entry, its place in the log included.
    pub fn held_bytes(&self) -> usize {
        self.0.len() + bounds::ENTRY_BYTES
    }
}

/// Takes the first text off `rest`.
fn cut<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_out_as_they_went_in() {
        let texts: [&[u8]; 6] = [b"trace_id", b"abc", b"", b"", b"\0\xff", b"a\r\nb"];
        let payload = Payload::pack(texts.into_iter());
        let fields: Vec<(&[u8], &[u8])> = payload.fields().collect();
        assert_eq!(fields, [(texts[0], texts[1]), (texts[2], texts[3]), (texts[4], texts[5])]);
        assert_eq!(payload.held_bytes(), 11 + 6 + 6 * 4 + bounds::ENTRY_BYTES);
    }

    #[test]
    fn a_key_without_a_value_is_left_out() {
        let texts: [&[u8]; 3] = [b"a", b"1", b"b"];
        assert_eq!(Payload::pack(texts.into_iter()).fields().count(), 1);
        assert_eq!(Payload::pack(std::iter::empty()).fields().count(), 0);
    }
}
