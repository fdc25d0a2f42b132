//! A filter's place among filters, which may be there without the filter: traces wait in it.

use super::Loader;
use crate::filter::{FilterSummary, OnFailure, Slot};
use crate::plugin::Kind;
use crate::plugin::library::{Found, Source};

/// The bundled filter that takes secrets out.
const REDACT: &str = "redact";

impl Loader {
    /// The names that have a place among filters.
    pub fn places(&self) -> Vec<String> {
        self.filters.summaries().into_iter().map(|place| place.name).collect()
    }

    fn place(&self, name: &str) -> Option<FilterSummary> {
        self.filters.summaries().into_iter().find(|place| place.name == name)
    }

    /// Takes what runs under `name` out of the stage that it is for. A filter that everything has to pass leaves its place behind, and traces wait there,
    /// unless that it goes is `meant`: its `.toml` switches it off. Returns whether a place is left.
    pub async fn take_out(&self, name: &str, running: Option<Kind>, meant: bool) -> bool {
        let mut reason = if meant { "it is switched off" } else { "it is no longer in the plugin directory" };
        if running == Some(Kind::Exporter) {
            self.exporters.remove(name);
        }
        // Whatever ran last or failed to: that there is a place decides.
        let mut left = false;
        match self.place(name) {
            Some(place) if !meant && place.on_failure == OnFailure::Hold => {
                reason = "it is no longer in the plugin directory; traces wait for it, since its on-failure is \"hold\" (a NAME.toml with enabled = false lets them pass)";
                left = self.filters.missing(name, reason).await.is_ok();
            }
            _ => self.give_up_place(name).await,
        }
        if running.is_some() || left {
            tracing::info!(plugin = name, reason, "plugin removed");
        }
        self.registry.removed(name, reason);
        left
    }

    /// Takes away the place of this name, if there is one. What waits there goes on.
    pub(super) async fn give_up_place(&self, name: &str) {
        if self.place(name).is_some() {
            // Only a host that stops refuses.
            drop(self.filters.remove(name).await);
        }
    }

    /// A filter that is to protect somebody and cannot be loaded has a place all the same, where traces wait for it. A place that is there already
    /// gets the terms that `found` has, if any, and the reason.
    pub(super) async fn hold_place(&self, name: &str, found: &Found, reason: &str) {
        if self.registry.runs(name) {
            return;
        }
        let there = self.place(name).is_some();
        let (order, on_failure) = found.manifest.as_ref().map_or((None, None), |manifest| (Some(manifest.order), manifest.on_failure));
        let redacts = matches!(&found.source, Source::Bundled(component) if component == REDACT);
        let on_failure = on_failure.or_else(|| redacts.then_some(OnFailure::Hold));
        // Only a host that stops refuses any of it.
        match (order, on_failure) {
            (Some(order), Some(on_failure)) if there || on_failure == OnFailure::Hold => {
                drop(self.filters.put(Slot::missing(name, order, on_failure, reason)).await);
            }
            // The terms of the place are the last that were understood.
            _ if there => drop(self.filters.missing(name, reason).await),
            (None, Some(OnFailure::Hold)) => drop(self.filters.put(Slot::missing(name, 0, OnFailure::Hold, reason)).await),
            _ => {}
        }
    }
}

/// What a filter's failure means where its `.toml` does not say: whoever protects somebody fails closed; who only chooses does not stop the stream.
pub(super) fn default_on_failure(source: &Source) -> OnFailure {
    match source {
        Source::Bundled(name) if name == "sampling" => OnFailure::Pass,
        _ => OnFailure::Hold,
    }
}
