//! What attackers are loaded beside, and must not disturb.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::events::assert_whole;
use super::eventually;
use super::host::{Host, HostBuilder};
use super::metrics::metrics;
use super::plugin_dir::{PluginDir, plugin};
use super::redis_server::RedisServer;

/// A host with the json exporter and the statistics, and what is in this directory.
pub fn host(redis: &RedisServer, plugins: &PluginDir) -> HostBuilder {
    HostBuilder::new(&redis.url()).set("MESHTRACE_PLUGIN_DIR", &plugins.path().display().to_string())
}

/// A host with all of that, and the filters that come with it: one takes secrets out, the other keeps all.
pub fn host_with_filters(redis: &RedisServer, plugins: &PluginDir) -> HostBuilder {
    plugins.put("redact.toml", "");
    plugins.put("sampling.toml", "order = 10\n[config]\npolicies = [{ name = \"all\", type = \"always_sample\" }]\n");
    host(redis, plugins)
}

/// Asks for `/health` again and again while something is done; it is always there, within two seconds.
pub fn healthy<T>(host: &Host, doing: impl FnOnce() -> T) -> T {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    let ask = || {
        while !done.load(Ordering::Relaxed) {
            let begin = Instant::now();
            assert_eq!(host.get("/health").status, 200);
            assert!(begin.elapsed() < Duration::from_secs(2), "it took {:?}", begin.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    std::thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let stop = Done(&done);
        let result = doing();
        drop(stop);
        asking.join().expect("it was healthy");
        result
    })
}

/// Every trace that was published has been exported as it was, and counted.
#[track_caller]
pub fn assert_complete(host: &Host, mut ids: Vec<String>, attacks: &[&str]) {
    let all = (ids.len() + attacks.len()) as u64;
    let exported = |name: &str| plugin(host, name)["exported"].as_u64().expect("a number");
    eventually("the others have all traces", || (exported("json") >= all && exported("stats") >= all).then_some(()));
    assert_eq!((exported("json"), exported("stats")), (all, all));
    assert_eq!(host.get("/trace/stats").json()["total_traces"], all);
    let mut documents = host.json_files();
    for attack in attacks {
        assert!(documents.remove(*attack).is_some(), "{attack}");
    }
    ids.sort();
    assert_whole(&documents, &ids);
    for name in ["json", "stats", "redact", "sampling"] {
        let bundled = plugin(host, name);
        if !bundled.is_null() {
            assert_eq!((&bundled["state"], &bundled["failures"]), (&json!("running"), &json!(0)), "{bundled}");
        }
    }
}

/// How often a plugin has run into a limit. The metric says the same.
#[track_caller]
pub fn counted_hits(host: &Host, name: &str, limit: &str) -> u64 {
    let series = format!("meshtrace_plugin_limit_hits_total{{plugin={name:?},limit={limit:?}}}");
    let (before, counted, after) = (hits(&plugin(host, name), limit), metrics(host)[&series], hits(&plugin(host, name), limit));
    assert!(before as f64 <= counted && counted <= after as f64, "{series} is {counted}, expected {before} to {after}");
    after
}

/// How often a plugin has run into a limit.
#[track_caller]
pub fn hits(plugin: &Value, limit: &str) -> u64 {
    plugin["limits"][limit]["hits"].as_u64().unwrap_or_else(|| panic!("no {limit} in {plugin}"))
}
