//! A plugin that is replaced again and again.

use serde_json::json;

use crate::hot_reload::{counting, sorted, watching};
use crate::support::eventually;
use crate::support::guests::evil;
use crate::support::load::Load;
use crate::support::plugin_dir::{holds, last_event, plugin, plugin_when, stamped};
use crate::support::redis_server::{GROUP, RedisServer, wait_until_settled};

/// Swaps after which the host has all that it will ever need.
const WARM: usize = 100;
const SWAPS: usize = 1_000;
/// What the host's memory may grow by meanwhile, in KiB: it remembers the ids of more and more traces. Any component or instance that stayed behind
/// would be some hundred KiB, and so a hundred times as much in all.
const GROWS: u64 = 8 * 1_024;

/// Scenario: a thousand times another file is put in the place of a running plugin while traces come in without end: a newer version, one that is
/// torn, an older version again, one that traps in `init`.
/// Guarantees: every trace is exported once; each change is told, in order; memory, threads and open files do not grow.
#[test]
fn a_thousand_swaps_lose_nothing_and_leave_nothing_behind() {
    let redis = RedisServer::start();
    let plugins = counting();
    let host = watching(&redis, &plugins).start();
    let load = Load::start(&redis);
    let (newer, older) = (stamped(&evil("count"), "newer"), stamped(&evil("count"), "older"));
    let (torn, traps) = (newer[..newer.len() / 3].to_vec(), evil("init-traps"));
    let turns: [(&[u8], &str); 4] = [(&newer, "replaced"), (&torn, "failed"), (&older, "replaced"), (&traps, "failed")];
    let mut warm = None;
    for (number, swap) in (last_event(&plugin(&host, "count")) + 1..).zip(0..SWAPS) {
        let (content, expected) = turns[swap % turns.len()];
        plugins.put("count.wasm", content);
        let count = plugin_when(&host, "count", "the change is told", |count| last_event(count) >= number);
        let event = count["history"].as_array().and_then(|history| history.last()).expect("an event").clone();
        assert_eq!((event["number"].as_u64(), &event["what"]), (Some(number), &json!(expected)), "swap {swap}: {event}");
        if swap + 1 == WARM {
            warm = Some(holds(host.process.id()));
        }
    }
    let (files, threads, memory) = warm.expect("it was looked at");
    // Threads that did something beside the flow end when they have had nothing to do for a while.
    let after = eventually("files and threads are back to what they were", || {
        let after = holds(host.process.id());
        (after.0 <= files + 3 && after.1 <= threads + 2).then_some(after)
    });
    assert!(after.2 <= memory + GROWS, "KiB {memory} before, {} after", after.2);
    let count = plugin(&host, "count");
    assert_eq!((&count["swaps"], &count["failed_loads"]), (&json!(SWAPS / 2), &json!(SWAPS / 2)));
    let ids = load.end();
    wait_until_settled(&mut redis.connect(), GROUP);
    assert_eq!(sorted(plugins.taken()), ids);
    assert_eq!(host.get("/plugins/count/report").json(), json!({"taken": ids.len()}));
}
