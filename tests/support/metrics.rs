//! What a host counts.

use std::collections::BTreeMap;

use super::host::Host;

/// What a scrape says: series with its labels → value.
pub fn metrics(host: &Host) -> BTreeMap<String, f64> {
    let answer = host.get("/metrics");
    assert_eq!((answer.status, answer.body.ends_with("\n# EOF\n")), (200, true), "{}", answer.body);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').expect("a value"));
    let mut series = BTreeMap::new();
    for (name, value) in samples {
        assert!(series.insert(name.to_owned(), value.parse().expect("a number")).is_none(), "{name} comes twice");
    }
    series
}
