//! The plugins' own counters and gauges: under one name each, with the plugin and its name for the number as labels, so that none collides with
//! another or with ours.

use super::text::Text;
use crate::batch::Numbers;

/// Series of plugins' own numbers in one scrape, at most. Beyond, each plugin has an equal share.
pub(super) const OWN_MAX: usize = 2_000;

/// Writes the numbers of these plugins.
pub(super) fn write<'a>(text: &mut Text, plugins: impl Iterator<Item = (&'a str, &'a Numbers)>) {
    let plugins: Vec<(&str, &Numbers)> = plugins.collect();
    let sizes: Vec<usize> = plugins.iter().map(|(_, numbers)| numbers.len()).collect();
    let shares = shares(&sizes, OWN_MAX);
    let mut counters =
        text.counter("meshtrace_plugin_own", "Counters that plugins keep of themselves. They begin anew with each instance.");
    for ((plugin, numbers), share) in plugins.iter().zip(&shares) {
        for (name, count) in numbers.counters.iter().take(*share) {
            counters.count(&[("plugin", plugin), ("name", name)], *count);
        }
    }
    let mut gauges = text.gauge("meshtrace_plugin_own_gauge", "Gauges that plugins keep of themselves.");
    for ((plugin, numbers), share) in plugins.iter().zip(&shares) {
        for (name, value) in numbers.gauges.iter().take(share.saturating_sub(numbers.counters.len())) {
            gauges.value(&[("plugin", plugin), ("name", name)], *value);
        }
    }
    let mut left_out =
        text.gauge("meshtrace_plugin_own_left_out", "Plugins' own numbers that are not shown here, since they are too many.");
    for ((plugin, numbers), share) in plugins.iter().zip(&shares) {
        left_out.count(&[("plugin", plugin)], (numbers.len() - share) as u64);
    }
}

/// How many of its series each may show, so that all together show `max` at most: those that have few show all, the others as many as each other.
fn shares(sizes: &[usize], max: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|at| sizes[*at]);
    let mut shares = vec![0; sizes.len()];
    let mut left = max;
    for (done, at) in by_size.iter().enumerate() {
        shares[*at] = sizes[*at].min(left / (sizes.len() - done));
        left -= shares[*at];
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::metrics::text::Format;

    #[test]
    fn one_that_has_many_takes_nothing_from_those_that_have_few() {
        assert_eq!(shares(&[512, 3, 0, 512], 100), [48, 3, 0, 49]);
        assert_eq!(shares(&[5, 3], 100), [5, 3]);
        assert_eq!(shares(&[5, 5, 5], 2), [0, 1, 1]);
        assert_eq!(shares(&[], 100), [0; 0]);
    }

    #[test]
    fn there_are_never_more_series_than_the_bound_and_what_is_missing_is_told() {
        let many = Numbers {
            counters: (0..256).map(|number| (format!("c{number}"), 1)).collect(),
            gauges: (0..256).map(|number| (format!("g{number}"), 1.0)).collect(),
        };
        let names: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
        let mut text = Text::new(Format::OpenMetrics);
        write(&mut text, names.iter().map(|name| (name.as_str(), &many)));
        let text = text.finish();
        let count = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
        assert_eq!((count("meshtrace_plugin_own_total{"), count("meshtrace_plugin_own_gauge{")), (2_000, 0));
        assert!(text.contains("meshtrace_plugin_own_left_out{plugin=\"p3\"} 312\n"), "{text}");
    }
}
