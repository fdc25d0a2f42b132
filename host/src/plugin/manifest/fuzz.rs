//! Any bytes as a `NAME.toml`.

use super::{MAX_INSTANCES, MAX_QUEUE, MAX_TRACES, Manifest};

/// What is understood is within its bounds, and its config is a JSON object.
pub fn plugin_toml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(manifest) = Manifest::parse(text) else { return };
    let Manifest { max_traces, instances, queue, config, .. } = &manifest;
    assert!(
        (1..=MAX_TRACES).contains(max_traces) && (1..=MAX_INSTANCES).contains(instances) && (1..=MAX_QUEUE).contains(queue),
        "{manifest:?}"
    );
    let object = |config: &String| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(config).is_ok();
    assert!(config.as_ref().is_none_or(object), "{config:?}");
    let plain = |name: &String| !name.contains('/') && !name.starts_with('.');
    assert!(manifest.component.as_ref().is_none_or(plain), "{:?}", manifest.component);
    let absolute = |dir: &crate::plugin::DirGrant| dir.host.is_absolute() && dir.guest.starts_with('/');
    assert!(manifest.grants.as_ref().is_none_or(|grants| grants.dirs.iter().all(absolute)), "{:?}", manifest.grants);
}
