//! The plugins in metrics. Those that have gone are left out, unless traces wait for them.

use super::own;
use super::text::{Family, Text};
use crate::api::plugins::{Doing, Known, One};
use crate::filter::ReasonCount;

/// Plugins in one scrape, at most; the last by name are left out.
pub(super) const PLUGINS_MAX: usize = 100;

/// Characters of a plugin's version that are shown: it says what it likes.
const VERSION_MAX: usize = 64;

pub(super) fn write(text: &mut Text, known: &Known) {
    let all: Vec<One<'_>> = known.each().filter(|one| Doing::of(one) != Doing::Gone).collect();
    let shown = &all[..all.len().min(PLUGINS_MAX)];
    let help = "Plugins that are not shown here, since they are too many.";
    text.gauge("meshtrace_plugins_left_out", help).count(&[], (all.len() - shown.len()) as u64);
    let readable = u64::from(known.plugins.directory_problem.is_none());
    text.gauge("meshtrace_plugin_directory_readable", "0 while the plugin directory cannot be read, or is doubted.").count(&[], readable);
    states(text, shown);
    loading(text, shown);
    calls(text, shown);
    exporters(text, shown);
    filters(text, shown);
    own::write(text, shown.iter().filter_map(|one| Some((one.name, one.numbers()?))));
}

/// One series for each plugin that has the number.
fn each<'a>(mut family: Family<'_>, plugins: &[One<'a>], number: impl Fn(&One<'a>) -> Option<u64>) {
    for one in plugins {
        if let Some(count) = number(one) {
            family.count(&[("plugin", one.name)], count);
        }
    }
}

fn states(text: &mut Text, plugins: &[One<'_>]) {
    let mut states = text.gauge("meshtrace_plugin_state", "1 for what the plugin is doing, 0 for the rest.");
    for one in plugins {
        let now = Doing::of(one);
        for doing in Doing::ALL {
            states.count(&[("plugin", one.name), ("state", doing.as_str())], u64::from(doing == now));
        }
    }
    let mut running = text.gauge("meshtrace_plugin_info", "What runs: 1 for each plugin.");
    for one in plugins {
        let Some(loaded) = &one.record.loaded else { continue };
        let version: String = loaded.about.version.chars().take(VERSION_MAX).collect();
        running.count(&[("plugin", one.name), ("kind", loaded.kind.as_str()), ("version", &version), ("digest", &loaded.digest)], 1);
    }
}

fn loading(text: &mut Text, plugins: &[One<'_>]) {
    let help = "1 while something is wrong with what was to be loaded last, or with what runs.";
    each(text.gauge("meshtrace_plugin_problem", help), plugins, |one| Some(u64::from(one.record.problem.is_some())));
    let help = "Times that something was loaded in the place of something else.";
    each(text.counter("meshtrace_plugin_swaps", help), plugins, |one| Some(one.record.swaps));
    let mut seconds =
        text.gauge("meshtrace_plugin_longest_swap_seconds", "The longest that traces waited because the plugin was being replaced.");
    for one in plugins {
        if let Some(longest) = one.longest_swap() {
            seconds.value(&[("plugin", one.name)], longest.as_secs_f64());
        }
    }
    each(text.counter("meshtrace_plugin_failed_loads", "Times that loading failed."), plugins, |one| Some(one.record.failed_loads));
}

fn calls(text: &mut Text, plugins: &[One<'_>]) {
    each(text.counter("meshtrace_plugin_calls", "Calls into the component."), plugins, |one| Some(one.record.counters.calls().0));
    let mut seconds = text.counter("meshtrace_plugin_call_seconds", "Time that those calls took.");
    for one in plugins {
        seconds.value(&[("plugin", one.name)], one.record.counters.calls().1.as_secs_f64());
    }
    let help = "Calls that failed, with traces or for something else, and starts that did.";
    each(text.counter("meshtrace_plugin_failures", help), plugins, |one| Some(one.failures()));
    each(text.gauge("meshtrace_plugin_memory_bytes", "Linear memory."), plugins, |one| Some(one.record.counters.memory_bytes()));
    let mut hits = text.counter("meshtrace_plugin_limit_hits", "Times that a limit was run into, by its key in NAME.toml.");
    for one in plugins {
        for (limit, count) in one.record.counters.hits() {
            hits.count(&[("plugin", one.name), ("limit", limit.as_str())], count);
        }
    }
    let denials = |one: &One<'_>| Some(one.record.counters.denials().values().sum());
    each(text.counter("meshtrace_plugin_denials", "Times that something was asked for that is not granted."), plugins, denials);
}

fn exporters(text: &mut Text, plugins: &[One<'_>]) {
    let help = "Batches that wait for the exporter.";
    each(text.gauge("meshtrace_plugin_queue_batches", help), plugins, |one| Some(one.exporter?.queued as u64));
    let help = "Batches that may wait for it.";
    let size = |one: &One<'_>| one.exporter.and(one.record.loaded.as_ref()).map(|loaded| loaded.manifest.queue as u64);
    each(text.gauge("meshtrace_plugin_queue_max_batches", help), plugins, size);
    let help = "Trace parts that the exporter has taken.";
    each(text.counter("meshtrace_plugin_exported_traces", help), plugins, |one| Some(one.exporter?.exported));
    let help = "Trace parts that it refused for good.";
    each(text.counter("meshtrace_plugin_rejected_traces", help), plugins, |one| Some(one.exporter?.rejected));
    let help = "Trace parts that it was not given, because it is not required and could not keep up.";
    each(text.counter("meshtrace_plugin_dropped_traces", help), plugins, |one| Some(one.exporter?.dropped));
    let help = "Times that something was offered to it again.";
    each(text.counter("meshtrace_plugin_retries", help), plugins, |one| Some(one.exporter?.retries));
}

fn filters(text: &mut Text, plugins: &[One<'_>]) {
    let mut verdicts = text.counter("meshtrace_filter_traces", "Trace parts that came to the filter, by what it decided and why.");
    for one in plugins {
        let Some(filter) = one.filter else { continue };
        for (verdict, count) in [("passed", filter.passed), ("undecided", filter.undecided), ("dead", filter.dead)] {
            verdicts.count(&[("plugin", one.name), ("verdict", verdict), ("reason", "")], count);
        }
        for ReasonCount { reason, kept, dropped } in &filter.reasons {
            for (verdict, count) in [("kept", *kept), ("dropped", *dropped)] {
                verdicts.count(&[("plugin", one.name), ("verdict", verdict), ("reason", reason.as_deref().unwrap_or_default())], count);
            }
        }
    }
    each(text.counter("meshtrace_filter_edits", "Edits made."), plugins, |one| Some(one.filter?.edits));
    let help = "Attributes that were not added, because their span had too many.";
    each(text.counter("meshtrace_filter_refused_edits", help), plugins, |one| Some(one.filter?.refused_edits));
}
