//! Entries to the stream of dead letters.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use super::super::Shared;
use super::super::reply::{EntryId, bytes, entry, items, push};
use super::DEAD_MAX;
use super::letter::{END, OWN};
use crate::decode;
use crate::source::{Batch, Fate, Settlement};

/// Writes the entries of `settlement` to the dead-letter stream, each with why and where from, and acknowledges them, in one step.
///
/// Entries that the log has lost meanwhile (agents trim it) are written as the host's own account of their trace.
pub(in super::super) async fn bury(shared: &Shared, connection: &mut MultiplexedConnection, settlement: &Settlement) -> RedisResult<()> {
    let Fate::Dead { stage, plugin, reason, trace } = &settlement.fate else { return Ok(()) };
    let replies = look(shared, connection, settlement).await?;
    let found = || replies.iter().zip(&settlement.receipts).map(|(reply, receipt)| (receipt, fields_of(reply)));
    let gone = found().filter(|(_, fields)| fields.is_none()).count();
    let mut moving = redis::pipe();
    moving.atomic();
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
    };
    let account = trace.as_ref().filter(|_| gone > 0);
    for (receipt, fields) in found().filter(|(_, fields)| fields.is_some() || account.is_none()) {
        let fields: Vec<&[u8]> = fields.unwrap_or_default().iter().filter_map(bytes).collect();
        add(("dead:entry", receipt.to_string()), &fields);
    }
    if let Some(trace) = account {
        let mut batch = Batch::default();
        for (receipt, fields) in found() {
            push(&mut batch, EntryId { ms: receipt.ms, seq: receipt.seq }, 0, fields.unwrap_or_default());
        }
        for account in decode::missing(trace, batch) {
            let fields: Vec<&[u8]> = account.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]).collect();
            add(("dead:rebuilt", format!("{gone} of {} entries had left the log", replies.len())), &fields);
        }
    }
    let ack = moving.cmd("XACK").arg(&shared.stream).arg(&shared.group);
    for receipt in &settlement.receipts {
        ack.arg(receipt.to_string());
    }
    moving.query_async::<()>(connection).await
}

/// A reply for each receipt. A key that cannot take dead letters is an error here: the transaction would not write them, but acknowledge all the same.
async fn look(shared: &Shared, connection: &mut MultiplexedConnection, settlement: &Settlement) -> RedisResult<Vec<Value>> {
    let mut looking = redis::pipe();
    looking.cmd("XLEN").arg(&shared.dead_stream);
    for receipt in &settlement.receipts {
        looking.cmd("XRANGE").arg(&shared.stream).arg(receipt.to_string()).arg(receipt.to_string());
    }
    let mut replies: Vec<Value> = looking.query_async(connection).await?;
    replies.remove(0);
    Ok(replies)
}

fn fields_of(reply: &Value) -> Option<&[Value]> {
    items(reply).first().and_then(entry)?.1
}
