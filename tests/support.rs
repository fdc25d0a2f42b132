//! Servers, events and patience for the tests.

pub mod beside;
pub mod certificates;
pub mod clock;
pub mod collector;
pub mod dead;
pub mod disk;
pub mod events;
pub mod foreign;
pub mod guests;
pub mod host;
pub mod load;
pub mod metrics;
pub mod plugin_dir;
pub mod proxy;
pub mod publishers;
pub mod redis_server;
pub mod resp;
pub mod server;
pub mod wat;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// The longest that anything is waited for, on a machine that does much besides. Waiting ends as soon as the condition holds.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until `condition` gives something, and returns it; fails with `what` when patience ends.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether nothing may be left out for want of a program or a right.
pub fn on_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Ports that the system hands out to nobody by itself: so one that is free stays free until it is bound, and while a server that had it is down.
const PORTS: std::ops::Range<u64> = 10_000..32_000;

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    eventually("a port is free", || {
        // Another one in each process: many run at the same time.
        let random = RandomState::new().build_hasher().finish();
        let port = (PORTS.start + random % (PORTS.end - PORTS.start)) as u16;
        std::net::TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    })
}

/// Sends `signal` to one of our children that has not been waited for.
pub fn signal(process: u32, signal: i32) {
    #[expect(unsafe_code, reason = "the standard library sends SIGKILL only")]
    // SAFETY: kill(2) takes two numbers, and the process is one that a test has started and not yet seen end.
    unsafe {
        libc::kill(process as i32, signal)
    };
}
