//! Entries to the stream of dead letters.

use std::sync::atomic::Ordering;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisResult, Value};

use super::super::Shared;
use super::super::fence::Fenced;
use super::super::journal::Lines;
use super::super::lease::Term;
use super::super::reply::bytes;
use super::DEAD_MAX;
use super::given_up::{GivenUp, Portion};
use super::letter::{END, OWN};
use super::look::look;
use crate::model::Receipt;
use crate::source::Fate;

/// Writes what was given up to the dead-letter stream, each entry with why and where from, and acknowledges it: a portion in one step.
///
/// Entries that the log has lost meanwhile (agents trim it) are written as the host's own account of their trace. Of one that was too large to be read
/// there is nothing but its id and why: neither we nor the stream of dead letters should hold it.
///
/// It is a transaction and not a script, because a script cannot hand on an entry of more than some 8,000 fields. It watches the key that a new leader
/// writes, on a connection that nobody else uses at the same time: if somebody takes the lead before it is made, it is not made.
///
/// After an error, and when it was refused, it may be asked for again: it goes on with what is left, also when an answer was lost.
pub(in super::super) async fn bury(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    term: &Term,
    dead: &mut GivenUp,
) -> RedisResult<Fenced<()>> {
    while dead.left() > 0 {
        if bury_some(shared, connection, term, dead).await? == Fenced::Refused {
            return Ok(Fenced::Refused);
        }
    }
    Ok(Fenced::Done(()))
}

/// Likewise, one portion.
pub(in super::super) async fn bury_some(
    shared: &Shared,
    connection: &mut MultiplexedConnection,
    term: &Term,
    dead: &mut GivenUp,
) -> RedisResult<Fenced<()>> {
    let lines = dead.lines(shared);
    let look = look(shared, connection, &lines, dead.receipts()).await?;
    if look.leader.as_deref() != Some(&*term.token) {
        return Ok(Fenced::Refused);
    }
    if let Some(portion) = dead.moved_after_all(look.buried.as_deref()) {
        dead.moved(shared, portion);
        return Ok(Fenced::Done(()));
    }
    let found = look.found();
    let portion = dead.portion(&found);
    let mut moving = redis::pipe();
    moving.atomic();
    moving.cmd("XLEN").arg(&shared.dead_stream);
    let added = add(shared, &mut moving, dead, &portion, &found);
    if look.ids_left < added {
        let why = format!("{} has no ids left: rename it, or remove it when its letters are not wanted any more", shared.dead_stream);
        return Err((ErrorKind::Client, "dead letters cannot be written", why).into());
    }
    acknowledge(shared, &mut moving, dead.acknowledged(&portion), &lines);
    moving.cmd("HSET").arg(&shared.keys.leader).arg("buried").arg(&portion.name).ignore();
    moving.cmd("XLEN").arg(&shared.dead_stream);
    moving.cmd("HINCRBY").arg(&shared.keys.leader).arg("settled").arg(1);
    let before = shared.lease.settled_so_far();
    match moving.query_async::<Option<(u64, u64, u64)>>(connection).await {
        Ok(None) => Ok(Fenced::Refused),
        Ok(Some((length_before, length, settled))) => {
            dead.moved(shared, portion);
            shared.lease.settled(term, before + 1, settled);
            let lost = (length_before + added).saturating_sub(length);
            shared.status.dead_letters_lost.fetch_add(lost, Ordering::Relaxed);
            Ok(Fenced::Done(()))
        }
        Err(error) => {
            if error.is_io_error() || error.is_unrecoverable_error() {
                dead.was_sent(portion);
            }
            Err(error)
        }
    }
}

/// Adds a portion to the dead letters; says how many that are. `found` has the fields of its entries.
fn add(shared: &Shared, moving: &mut Pipeline, dead: &GivenUp, portion: &Portion, found: &[Option<&[Value]>]) -> u64 {
    let Fate::Dead { stage, plugin, reason, .. } = dead.fate() else { return 0 };
    let mut added = 0;
    let mut add = |about: (&str, String), fields: &[&[u8]]| {
        let add = moving.cmd("XADD").arg(&shared.dead_stream).arg("MAXLEN").arg("~").arg(DEAD_MAX).arg("*");
        add.arg(about.0).arg(about.1).arg("dead:stage").arg(*stage).arg("dead:reason").arg(reason.as_str());
        if let Some(plugin) = plugin {
            add.arg("dead:plugin").arg(plugin.as_str());
        }
        if fields.first().is_some_and(|key| key.starts_with(OWN.as_bytes())) {
            add.arg(END).arg("");
        }
        add.arg(fields).ignore();
        added += 1;
    };
    for (at, (receipt, fields)) in dead.receipts().iter().zip(found).enumerate() {
        if portion.gone.binary_search(&at).is_err() {
            let fields: Vec<&[u8]> = fields.unwrap_or_default().iter().filter_map(bytes).collect();
            add(("dead:entry", receipt.to_string()), &fields);
        }
    }
    for account in dead.accounts_of(portion) {
        let fields: Vec<&[u8]> = account.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]).collect();
        add(("dead:rebuilt", dead.lost(portion)), &fields);
    }
    added
}

/// Acknowledges these, and journals.
fn acknowledge<'a>(shared: &Shared, moving: &mut Pipeline, receipts: impl Iterator<Item = &'a Receipt>, lines: &Lines) {
    let mut ids = receipts.map(Receipt::to_string).peekable();
    if ids.peek().is_some() {
        let ack = moving.cmd("XACK").arg(&shared.stream).arg(&shared.group);
        for id in ids {
            ack.arg(id);
        }
        moving.ignore();
    }
    if let Some(key) = shared.id_key().filter(|_| lines.minutes().next().is_some()) {
        // Somebody may have removed it, and nobody could read the journal without.
        moving.cmd("SET").arg(&shared.keys.id_key).arg(&key[..]).ignore();
    }
    for (minute, bytes) in lines.minutes() {
        let key = shared.keys.minute(minute);
        moving.cmd("APPEND").arg(&key).arg(bytes).ignore();
        moving.cmd("PEXPIRE").arg(&key).arg(shared.journal.lasts_ms()).ignore();
        moving.cmd("ZADD").arg(&shared.keys.minutes).arg(minute).arg(minute).ignore();
    }
}
