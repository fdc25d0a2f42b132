//! `XADD`, the one command that publishers are here for.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use super::command::{Call, Outcome, wrong_arity};
use super::entry_id::{AskedId, integer};
use super::log::Refused;
use super::payload::Payload;
use super::request::Arguments;

const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";
const FULL: &str = "OOM command not allowed when used memory > 'maxmemory'.";

/// `XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | <id> key value …`
///
/// The trimming options are read as strictly as Redis reads them, and of no effect: memory is bounded by
/// [`super::Bounds::held_bytes`], and an entry is never let go of before its trace has been disposed of. `NOMKSTREAM` too: the stream is
/// always there.
pub fn xadd(call: &mut Call) -> Outcome {
    let arguments = call.arguments;
    let (asked, id_at) = read_options(arguments)?;
    let texts = arguments.len() - 1 - id_at;
    if texts < 2 || !texts.is_multiple_of(2) {
        return Err(wrong_arity("xadd"));
    }
    let stream = &call.shared.config.stream;
    if arguments.get(1) != stream.as_bytes() {
        return Err(format!("ERR meshtrace's embedded listener keeps only the stream '{stream}', not '{}'", call.shown(1)).into());
    }
    let payload = Payload::pack(arguments.from(id_at + 1));
    match call.shared.log.append(asked, payload) {
        Ok(id) => call.replies.bulk(id.to_string().as_bytes()),
        Err(refused) => return Err(refuse(call, refused)),
    }
    Ok(())
}

fn refuse(call: &Call, refused: Refused) -> Cow<'static, str> {
    let text = match refused {
        Refused::Full { first } => {
            tell_full(call, first);
            FULL
        }
        Refused::IdZero => "ERR The ID specified in XADD must be greater than 0-0",
        Refused::IdTooSmall => "ERR The ID specified in XADD is equal or smaller than the target stream top item",
        Refused::NoMoreIds => "ERR The stream has exhausted the last possible ID, unable to add more items",
        Refused::Closed => "ERR meshtrace is stopping",
    };
    text.into()
}

fn tell_full(call: &Call, first: bool) {
    let shared = call.shared;
    shared.status.entries_refused.fetch_add(1, Ordering::Relaxed);
    let bytes = shared.config.bounds.held_bytes;
    if first {
        shared
            .status
            .set_error(format!("entries are refused: the {bytes} bytes that may be held are full of traces that are not finished yet"));
    }
    if let Some(withheld) = shared.full.now() {
        tracing::warn!(bytes, withheld, "an entry was refused: as much is held as may be; its publisher drops it");
    }
}

/// The id asked for, and where it stands.
fn read_options(arguments: Arguments) -> Result<(AskedId, usize), Cow<'static, str>> {
    let (mut trims, mut about, mut limit) = (false, false, None);
    let mut index = 2;
    while index < arguments.len() {
        let more = arguments.len() - 1 - index;
        let trim = ["MAXLEN", "MINID"].into_iter().find(|word| more >= 1 && arguments.is(index, word));
        if let Some(trim) = trim {
            if trims {
                return Err("ERR syntax error, MAXLEN and MINID options at the same time are not compatible".into());
            }
            let mark = arguments.get(index + 1);
            let marked = more >= 2 && matches!(mark, b"~" | b"=");
            about = marked && mark == b"~";
            index += if marked { 2 } else { 1 };
            check_threshold(trim, arguments.get(index))?;
            trims = true;
        } else if more >= 1 && arguments.is(index, "LIMIT") {
            index += 1;
            limit = Some(count("LIMIT", arguments.get(index))?);
        } else if !arguments.is(index, "NOMKSTREAM") {
            let asked = AskedId::parse(arguments.get(index)).ok_or(INVALID_ID)?;
            return match limit {
                Some(1..) if !trims => Err("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy".into()),
                Some(_) if !about => Err("ERR syntax error, LIMIT cannot be used without the special ~ option".into()),
                _ => Ok((asked, index)),
            };
        }
        index += 1;
    }
    Err(wrong_arity("xadd"))
}

fn check_threshold(trim: &str, threshold: &[u8]) -> Result<(), Cow<'static, str>> {
    if trim == "MAXLEN" {
        return count(trim, threshold).map(|_| ());
    }
    match AskedId::parse(threshold) {
        Some(AskedId::Exactly(_)) => Ok(()),
        _ => Err(INVALID_ID.into()),
    }
}

fn count(option: &str, text: &[u8]) -> Result<i64, Cow<'static, str>> {
    match integer(text) {
        Some(count @ 0..) => Ok(count),
        Some(_) => Err(format!("ERR The {option} argument must be >= 0.").into()),
        None => Err("ERR value is not an integer or out of range".into()),
    }
}
