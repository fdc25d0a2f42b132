//! A wall clock that can be set, for processes that are started with it. Time itself, by which they wait, goes on as it does.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

/// The clock of some processes, by libfaketime.
pub struct Clock {
    dir: TempDir,
    library: String,
}

impl Clock {
    /// The right time. `None` where there is no libfaketime, which is a failure on CI.
    pub fn new() -> Option<Clock> {
        // The wrapper knows where the library is.
        let told = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let library = told.ok().filter(|told| told.status.success()).map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned());
        let Some(library) = library.filter(|library| !library.is_empty()) else {
            let on_ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
            assert!(!on_ci, "there is no faketime; clocks that jump are left out only outside of CI");
            println!("left out: clocks that jump; there is no faketime here (cargo xtask setup installs it)");
            return None;
        };
        let clock = Clock {
            dir: tempfile::tempdir().expect("a directory"),
            library,
        };
        clock.set_ahead(0);
        Some(clock)
    }

    /// Sets it so many seconds ahead of the right time, or behind.
    pub fn set_ahead(&self, seconds: i64) {
        let new = self.dir.path().join("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("a file");
        // At once, whoever is just reading it.
        fs::rename(new, self.dir.path().join("clock")).expect("a file");
    }

    /// What a process that is to have this clock is started with.
    pub fn environment(&self) -> Vec<(String, String)> {
        let file = self.dir.path().join("clock").display().to_string();
        // Redis' own allocator asks for the time while it begins, before the library can tell it.
        let libraries = format!("{}:libc.so.6", self.library);
        let variables = [
            ("LD_PRELOAD", libraries.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        variables.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }
}
