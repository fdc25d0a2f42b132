//! The pipeline in metrics: what is read, what is open, what was decided, what is kept for queries.

use super::text::Text;
use crate::api::{CorrelatorSummary, FiltersSummary, InputSummary};
use crate::filter;
use crate::source::{RestartSafety, Role, SourceState, StatusSnapshot};
use crate::store;

pub(super) fn source(text: &mut Text, source: &StatusSnapshot) {
    let StatusSnapshot {
        state,
        lag,
        pending,
        restart_safety: safety,
        entries_read,
        entries_acknowledged,
        entries_dead,
        // In `lost`.
        entries_trimmed: _,
        entries_trimmed_unread: _,
        dead_letters_left: _,
        dead_letters_lost: _,
        disconnects,
        entries_refused,
        connections_refused,
        held_bytes,
        settlements_fenced,
        settlements_unjournalled,
        role_changes,
        journal_bytes,
        role,
        // Words, which the status has.
        stream: _,
        group: _,
        last_error: _,
        leader: _,
        given_up: _,
        foreign_reader,
    } = source;
    let mut states = text.gauge("meshtrace_source_state", "1 for what the source is doing, 0 for the rest.");
    for one in SourceState::ALL {
        states.count(&[("state", one.as_str())], u64::from(one == *state));
    }
    if let Some(role) = role {
        text.gauge("meshtrace_leader", "1 while this host reads for the group, 0 while it stands by.")
            .count(&[], u64::from(*role == Role::Leader));
    }
    text.gauge("meshtrace_journal_bytes", "Bytes of the journal of decisions, as of a few seconds ago.").count(&[], *journal_bytes);
    text.gauge("meshtrace_held_bytes", "Bytes of entries that the embedded listener holds.").count(&[], *held_bytes);
    let foreign = u64::from(foreign_reader.is_some());
    text.gauge("meshtrace_foreign_reader", "1 while somebody else reads our consumer group, which takes a part of every trace.")
        .count(&[], foreign);
    if let Some(lag) = lag {
        text.gauge("meshtrace_lag_entries", "Entries in the log that nobody has read yet, as of a few seconds ago.").count(&[], *lag);
    }
    if let Some(pending) = pending {
        text.gauge("meshtrace_pending_entries", "Entries that were read and are not acknowledged, as of a few seconds ago.")
            .count(&[], *pending);
    }
    if let Some(safety) = safety {
        restart_safety(text, safety);
    }
    for (name, help, count) in [
        ("meshtrace_entries_read", "Entries read.", entries_read),
        ("meshtrace_entries_acknowledged", "Entries acknowledged, dead letters among them.", entries_acknowledged),
        ("meshtrace_entries_dead", "Entries moved to the dead-letter stream, or given up where there is none.", entries_dead),
        ("meshtrace_entries_refused", "Entries that the embedded listener refused, because it held as much as it may.", entries_refused),
        (
            "meshtrace_connections_refused",
            "Connections that the embedded listener refused, or ended for what they did: too many, too slow, or not understood.",
            connections_refused,
        ),
        ("meshtrace_settlements_fenced", "Settlements thrown away, because another host had taken the lead.", settlements_fenced),
        ("meshtrace_settlements_unjournalled", "Settlements that the journal could not take.", settlements_unjournalled),
        ("meshtrace_role_changes", "Times that this host has become leader or standby.", role_changes),
        ("meshtrace_disconnects", "Connections to the log that were lost.", disconnects),
    ] {
        text.counter(name, help).count(&[], *count);
    }
    lost(text, source);
}

/// What the log has lost, and what could be.
fn lost(text: &mut Text, source: &StatusSnapshot) {
    let help = "Dead letters left pending in the log, because too many waited to be written; read again when those are through.";
    text.counter("meshtrace_dead_letters_left", help).count(&[], source.dead_letters_left);
    let help = "Dead letters pushed out of their stream by later ones.";
    text.counter("meshtrace_dead_letters_lost", help).count(&[], source.dead_letters_lost);
    let help = "Entries that the log let go of before they were acknowledged: pending ones, or such as nobody had read.";
    let mut trimmed = text.counter("meshtrace_entries_trimmed", help);
    for (were, count) in [("pending", source.entries_trimmed), ("unread", source.entries_trimmed_unread)] {
        trimmed.count(&[("were", were)], count);
    }
}

/// What is not known has no series.
fn restart_safety(text: &mut Text, safety: &RestartSafety) {
    let RestartSafety { oldest_age, entries, time, retention } = safety;
    text.gauge("meshtrace_oldest_unacknowledged_age_seconds", "Age of the oldest entry that is not acknowledged.")
        .value(&[], oldest_age.as_secs_f64());
    if let Some(entries) = entries {
        let help = "Entries that can be added, about, before publishers trim one that is not acknowledged.";
        text.gauge("meshtrace_restart_safety_entries", help).count(&[], *entries);
    }
    let help = "How long it takes, about, until publishers trim an entry that is not acknowledged.";
    if let Some(time) = time {
        text.gauge("meshtrace_restart_safety_seconds", help).value(&[], time.as_secs_f64());
    }
    let help = "How long it takes until an entry that is not acknowledged is older than the retention.";
    if let Some(retention) = retention {
        text.gauge("meshtrace_retention_left_seconds", help).value(&[], retention.as_secs_f64());
    }
}

pub(super) fn input(text: &mut Text, input: &InputSummary) {
    let InputSummary {
        events,
        unreadable_values,
        rejected,
        open_bytes,
        queued_bytes,
        max_queued_bytes,
        queue_waits,
        remembered_traces,
        interned_name_bytes,
    } = input;
    text.counter("meshtrace_events", "Entries that became events.").count(&[], *events);
    let mut reasons = text.counter("meshtrace_entries_rejected", "Entries that are no events, by why.");
    for (reason, count) in rejected {
        reasons.count(&[("reason", reason)], *count);
    }
    let help = "Values of another form than their field wants; each was kept as an attribute.";
    text.counter("meshtrace_unreadable_values", help).count(&[], *unreadable_values);
    text.gauge("meshtrace_open_bytes", "Bytes that open traces hold.").count(&[], *open_bytes);
    let help = "Bytes of decided traces that are on their way through filters, or wait for required exporters.";
    text.gauge("meshtrace_queued_bytes", help).count(&[], *queued_bytes);
    text.gauge("meshtrace_queued_max_bytes", "Bytes that those may hold.").count(&[], *max_queued_bytes);
    let help = "Times that decided traces had to wait for some of these bytes, and reading with them.";
    text.counter("meshtrace_queue_waits", help).count(&[], *queue_waits);
    text.gauge("meshtrace_remembered_traces", "Ids of decided traces that are remembered for late spans.").count(&[], *remembered_traces);
    text.gauge("meshtrace_interned_name_bytes", "Bytes of texts that are kept once for all spans.").count(&[], *interned_name_bytes);
}

pub(super) fn correlator(text: &mut Text, correlator: &CorrelatorSummary) {
    let CorrelatorSummary {
        active_traces,
        total_spans,
        oldest_age,
        late_parts,
        decided,
    } = correlator;
    text.gauge("meshtrace_open_traces", "Traces that are not decided yet.").count(&[], *active_traces);
    text.gauge("meshtrace_open_spans", "Spans of those traces.").count(&[], *total_spans);
    let age = oldest_age.unwrap_or_default().as_secs_f64();
    text.gauge("meshtrace_oldest_open_trace_age_seconds", "How long ago the oldest of them began to come in; 0 when there is none.")
        .value(&[], age);
    text.counter("meshtrace_late_parts", "Trace parts that came after their trace had been decided.").count(&[], *late_parts);
    let mut reasons = text.counter("meshtrace_decided_traces", "Traces and late parts decided, by why they were taken to be complete.");
    for (reason, count) in decided {
        reasons.count(&[("reason", reason.as_str())], *count);
    }
}

pub(super) fn filters(text: &mut Text, filters: &FiltersSummary) {
    let filter::Counts {
        kept,
        dropped,
        late_dropped,
        dead,
        remembered,
    } = filters.counts;
    let mut outcomes = text.counter("meshtrace_filtered_traces", "Trace parts that went through all filters, by what became of them.");
    for (outcome, count) in [("kept", kept), ("dropped", dropped), ("late_dropped", late_dropped), ("dead", dead)] {
        outcomes.count(&[("outcome", outcome)], count);
    }
    text.gauge("meshtrace_remembered_drops", "Ids of dropped traces that are remembered for late parts.").count(&[], remembered);
}

pub(super) fn stored(text: &mut Text, counts: store::Counts) {
    let store::Counts {
        traces,
        bytes,
        removed_by_count,
        removed_by_bytes,
        removed_by_age,
        too_large,
    } = counts;
    text.gauge("meshtrace_store_traces", "Traces kept for queries.").count(&[], traces);
    text.gauge("meshtrace_store_bytes", "Bytes that they hold.").count(&[], bytes);
    let mut removed = text.counter("meshtrace_store_removed_traces", "Traces removed from there, by which bound.");
    for (bound, count) in [("count", removed_by_count), ("bytes", removed_by_bytes), ("age", removed_by_age)] {
        removed.count(&[("bound", bound)], count);
    }
    text.counter("meshtrace_store_too_large_traces", "Traces and late parts not taken in there, because of their size.")
        .count(&[], too_large);
}
