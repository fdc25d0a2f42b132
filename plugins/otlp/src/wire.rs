//! The little protobuf that a collector answers with.

use std::str;

/// A field of a message.
#[derive(Debug, PartialEq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a type that nothing here needs.
    Other,
}

/// What an `ExportTraceServiceResponse` says about spans that were not taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Spans that were refused.
    pub rejected_spans: u64,
    /// Why, or a warning.
    pub message: String,
}

/// Reads an `ExportTraceServiceResponse`. What is broken in it is left out: the status has said already that the request was taken.
#[must_use]
pub fn partial_success(response: &[u8]) -> PartialSuccess {
    let mut found = PartialSuccess::default();
    for (field, value) in fields(response) {
        let (1, Value::Bytes(partial)) = (field, value) else { continue };
        for (field, value) in fields(partial) {
            match (field, value) {
                // An int64; a collector that answers a negative one means nothing by it.
                (1, Value::Number(count)) => found.rejected_spans = u64::try_from(count.cast_signed()).unwrap_or(0),
                (2, Value::Bytes(text)) => found.message = String::from_utf8_lossy(text).into_owned(),
                _ => {}
            }
        }
    }
    found
}

/// The message of a `google.rpc.Status`, if it has one.
#[must_use]
pub fn status_message(status: &[u8]) -> Option<&str> {
    let message = fields(status).filter_map(|(field, value)| match value {
        Value::Bytes(text) if field == 2 => str::from_utf8(text).ok(),
        _ => None,
    });
    message.last().filter(|text| !text.is_empty())
}

/// The fields of a message, up to what cannot be read.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)?),
            1 => take(&mut message, 8).map(|_| Value::Other)?,
            2 => {
                let length = varint(&mut message)?;
                Value::Bytes(take(&mut message, usize::try_from(length).ok()?)?)
            }
            5 => take(&mut message, 4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read() {
        let response = [&[0x0a, 7, 0x08, 0xac, 0x02, 0x12, 2][..], b"no"].concat();
        let expected = PartialSuccess {
            rejected_spans: 300,
            message: "no".into(),
        };
        assert_eq!(partial_success(&response), expected);
        assert_eq!(partial_success(b""), PartialSuccess::default());
    }

    #[test]
    fn a_status_is_read_past_fields_of_every_type() {
        let status = [&[0x08, 3, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 0x12, 3][..], b"bad"].concat();
        assert_eq!(status_message(&status), Some("bad"));
        assert_eq!(status_message(&[0x08, 3]), None);
        assert_eq!(status_message(&[0x12, 0]), None);
    }

    #[test]
    fn whatever_bytes_come_they_are_read_or_left() {
        let broken: [&[u8]; 6] = [
            b"<html>",
            &[0x0a, 9, 1],
            &[0x0a],
            &[0xff; 12],
            &[0x0b],
            &[0x0a, 11, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ];
        for bytes in broken {
            assert_eq!(partial_success(bytes).rejected_spans, 0);
            assert_eq!(status_message(bytes), None);
        }
    }
}
