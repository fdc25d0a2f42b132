//! Whatever the pieces in which replies come, the library gets what is its own and the reader what is his.

use super::frames::text;
use super::fuzz::through;
use super::*;

const TIME: &[u8] = b"*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n";
const ENTRIES: &[u8] = b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nk\r\n$4\r\n\r\n*9\r\n";
const PUSHED: &[u8] = b">2\r\n+message\r\n$2\r\nhi\r\n";

#[test]
fn one_reply_is_diverted_and_all_else_goes_through() {
    let all = [PUSHED, TIME, PUSHED, ENTRIES, b":5\r\n"].concat();
    let rest = [PUSHED, TIME, PUSHED, INSTEAD, b":5\r\n"].concat();
    for piece in 1..=all.len() {
        let (library, diverted) = through(&all, &[piece], Some(1));
        assert_eq!((library.as_slice(), diverted.as_deref()), (rest.as_slice(), Some(ENTRIES)), "{piece}");
        let (library, diverted) = through(&all, &[piece], None);
        assert_eq!((library.as_slice(), diverted), (all.as_slice(), None), "{piece}");
    }
}

#[test]
fn an_error_is_the_librarys() {
    let all = [TIME, b"-NOGROUP there is none\r\n", TIME].concat();
    for piece in 1..=all.len() {
        let (library, diverted) = through(&all, &[piece], Some(1));
        assert_eq!((library.as_slice(), diverted), (all.as_slice(), None), "{piece}");
    }
}

#[test]
fn what_is_no_reply_is_the_librarys_and_so_is_what_follows() {
    for wrong in ["HTTP/1.1 400\r\n\r\n", "*1x\r\n", "$\r\n", "*-\n", "*-\r\n", "$5\n", "$5\r5\n", "*99999999999999999999\r\n"] {
        let all = [TIME, wrong.as_bytes(), ENTRIES].concat();
        for (piece, after) in [(1, 1), (7, 1), (all.len(), 1), (1, 2), (7, 2), (all.len(), 2)] {
            let (library, diverted) = through(&all, &[piece], Some(after));
            assert_eq!((library.as_slice(), diverted), (all.as_slice(), None), "{wrong:?} {piece} {after}");
        }
    }
}

#[test]
fn a_reply_that_never_ends_is_neithers() {
    let all = [TIME, &ENTRIES[..ENTRIES.len() - 1]].concat();
    assert_eq!(through(&all, &[5], Some(1)), (TIME.to_vec(), None));
}

#[test]
fn every_kind_of_value_ends_where_it_ends() {
    for reply in [
        "+OK\r\n",
        "+neither \r nor \n\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(12\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "%1\r\n+a\r\n*1\r\n:1\r\n",
        "~1\r\n=5\r\ntxt:a\r\n",
        "|1\r\n+a\r\n+b\r\n!2\r\nno\r\n",
    ] {
        let (mut frames, bytes) = (Frames::default(), [reply.as_bytes(), b":1\r\n"].concat());
        assert!(frames.advance(&bytes, |_| {}), "{reply:?}");
        assert_eq!(frames.at, reply.len(), "{reply:?}");
    }
}

#[test]
fn the_short_way_to_a_text_says_what_the_long_one_does() {
    for line in [
        "$0\r\n",
        "$7\r\n",
        "$007\r\n",
        "$123456789\r\n",
        "$1234567890\r\n",
        "$-1\r\n",
        "$\r\n",
        "$5\n",
        "$5\r",
        "$5",
        "$",
        "",
        "*5\r\n",
        "$5x\r\n",
        "$ 5\r\n",
    ] {
        let bytes = [b"12", line.as_bytes()].concat();
        if let Some((begin, length)) = text(&bytes, 2) {
            let header = any_header(&bytes, 2).ok().flatten().expect("a header");
            assert_eq!((header.kind, header.end, header.text, header.absent), (b'$', begin, length + 2, false), "{line:?}");
        }
    }
    assert_eq!((text(b"$26\r\n", 0), text(b"$-1\r\n", 0)), (Some((5, 26)), None));
}
