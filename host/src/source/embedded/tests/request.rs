//! Framing: the same requests however they are cut, and nothing else.

use proptest::prelude::*;

use super::packed;
use crate::source::embedded::bounds;
use crate::source::embedded::request::RequestReader;

/// Reads `bytes` as they would come in the given pieces; the requests, or the error after them.
fn read_all(bytes: &[u8], cuts: &[usize], trusted: bool) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let (mut reader, mut requests, mut start) = (RequestReader::default(), Vec::new(), 0);
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([bytes.len()]).collect();
    ends.sort_unstable();
    for end in ends {
        loop {
            let unread = &bytes[start..end.max(start)];
            match reader.read(unread, trusted) {
                Ok(None) => break,
                Ok(Some(length)) => {
                    requests.push(reader.arguments(unread).from(0).map(<[u8]>::to_vec).collect());
                    start += length;
                }
                Err(error) => return (requests, Some(error.into_owned())),
            }
        }
    }
    (requests, None)
}

fn error(bytes: &[u8]) -> String {
    read_all(bytes, &[], true).1.unwrap_or_default()
}

proptest! {
    #[test]
    fn requests_are_read_as_sent_however_they_are_cut(
        requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6), 1..5),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|request| packed(&request.iter().map(Vec::as_slice).collect::<Vec<_>>())).collect();
        prop_assert_eq!(read_all(&bytes, &cuts, true), (requests, None));
    }

    #[test]
    fn arbitrary_bytes_are_read_the_same_however_they_are_cut(
        bytes in "[*$0-9a-z\r\n -]{0,60}",
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let bytes = bytes.as_bytes();
        prop_assert_eq!(read_all(bytes, &cuts, true), read_all(bytes, &[], true));
    }
}

#[test]
fn lines_are_taken_as_they_are_typed() {
    let (requests, error) = read_all(b"PING\r\n\r\n  xadd  a\t*  k v \nQUIT", &[], true);
    let words: Vec<String> =
        requests.iter().map(|words| words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(",")).collect();
    assert_eq!(words, ["PING", "", "xadd,a,*,k,v"]);
    assert_eq!(error, None);
}

#[test]
fn what_is_no_request_is_named_as_redis_names_it() {
    assert_eq!(error(b"*1\r\n:1\r\n"), "Protocol error: expected '$', got ':'");
    assert_eq!(error(b"*x\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*8193\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$007\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$4194304\r\n"), "Protocol error: a request of more than 4194304 bytes");
    assert_eq!(error(b"*1\r\n$9223372036854775807\r\n"), "Protocol error: a request of more than 4194304 bytes");
    assert_eq!(error(b"*1\r\n$1\r\nabc"), "Protocol error: expected an end of line after a bulk string");
    assert_eq!(error(&[b'*'; 32]), "Protocol error: too big mbulk count string");
    assert_eq!(error(b"*1\r\n$00000000000000000000000000000000000000"), "Protocol error: too big bulk count string");
    assert_eq!(error(&vec![b'x'; bounds::INLINE_BYTES]), "Protocol error: too big inline request");
    assert_eq!(error(b"ECHO \"a b\"\n"), "Protocol error: inline commands are taken without quotes here");
    assert_eq!(error(&b"*1\r\n".repeat(1_000_000)), "Protocol error: expected '$', got '*'");
}

#[test]
fn arrays_of_no_length_are_passed_over() {
    let (requests, error) = read_all(b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", &[], true);
    assert_eq!(requests, [vec![], vec![], vec![b"PING".to_vec()]]);
    assert_eq!(error, None);
}

#[test]
fn strangers_get_little_memory() {
    let error = |bytes: &[u8]| read_all(bytes, &[], false).1.unwrap_or_default();
    assert_eq!(error(b"*11\r\n"), "Protocol error: unauthenticated multibulk length");
    assert_eq!(error(b"*2\r\n$16385\r\n"), "Protocol error: unauthenticated bulk length");
    assert_eq!(error(b"*10\r\n$16384\r\n"), "");
}
