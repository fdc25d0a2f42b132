//! The plugins of a run: two exporters that keep books, one of them moody, and a filter that does.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::guests::evil;
use crate::support::plugin_dir::{PluginDir, stamped};

/// Files count as finished at once: nobody writes them slowly here.
const LONG_AGO: Duration = Duration::from_secs(60);

/// What the moody exporter, or the filter, does with all that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    /// Asks to be offered everything again.
    Refuses,
    /// Takes every second trace.
    Halves,
    /// Takes a while for each batch.
    Stalls,
    /// Never answers, until its time is over.
    Hangs,
    Traps,
}

/// A plugin directory, and where its plugins write.
pub struct Guests {
    plugins: PluginDir,
    root: TempDir,
    wasm: Vec<u8>,
    sieve: Vec<u8>,
    stamp: u8,
}

impl Guests {
    pub fn new() -> Guests {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["ledger", "moody", "sieve", "mood"] {
            fs::create_dir(root.path().join(name)).expect("a directory");
        }
        let guests = Guests {
            plugins: PluginDir::new(),
            root,
            wasm: evil("ledger"),
            sieve: evil("sieve"),
            stamp: 0,
        };
        guests.set_mood(Mood::Takes);
        let grant = |name: &str| format!("{{ path = {:?}, as = \"/out\", access = \"write\" }}", guests.dir(name));
        let mood = format!("{{ path = {:?}, as = \"/mood\" }}", guests.dir("mood"));
        guests.put("ledger.toml", format!("[config]\nrejects = true\n[permissions]\ndirs = [{}]\n", grant("ledger")));
        let moody = format!(
            "component = \"ledger.wasm\"\n[config]\nbreaks = true\n[limits]\ncall-time = \"3s\"\n[permissions]\ndirs = [{}, {mood}]\n",
            grant("moody")
        );
        guests.put("moody.toml", moody);
        let sieve = format!("on-failure = \"hold\"\n[limits]\ncall-time = \"3s\"\n[permissions]\ndirs = [{}, {mood}]\n", grant("sieve"));
        guests.put("sieve.toml", sieve);
        guests.put("ledger.wasm", &guests.wasm);
        guests.put("sieve.wasm", &guests.sieve);
        guests
    }

    /// The plugin directory.
    pub fn path(&self) -> PathBuf {
        self.plugins.path()
    }

    /// Where one of them writes.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The books of one of them, one of each instance.
    pub fn books(&self, name: &str) -> Vec<PathBuf> {
        fs::read_dir(self.dir(name)).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
    }

    /// Bytes that one of them has written so far.
    pub fn written(&self, name: &str) -> u64 {
        self.books(name).iter().map(|book| fs::metadata(book).map_or(0, |about| about.len())).sum()
    }

    /// Another mood of the exporter, from the next call on.
    pub fn set_mood(&self, mood: Mood) {
        self.write_mood("mood", mood);
    }

    /// Likewise of the filter, which takes all or nothing.
    pub fn set_filter_mood(&self, mood: Mood) {
        self.write_mood("sieve", mood);
    }

    fn write_mood(&self, file: &str, mood: Mood) {
        let word = match mood {
            Mood::Takes => "take",
            Mood::Refuses => "refuse",
            Mood::Halves => "half",
            Mood::Stalls => "stall",
            Mood::Hangs => "hang",
            Mood::Traps => "trap",
        };
        let ready = self.root.path().join("ready");
        fs::write(&ready, format!("{word} ")).expect("a file");
        fs::rename(ready, self.dir("mood").join(file)).expect("it is moved");
    }

    /// Replaces the filter by another one that does the same.
    pub fn swap_filter(&mut self) {
        self.stamp = (self.stamp + 1) % 3;
        self.put("sieve.wasm", stamped(&self.sieve, &format!("swap {}", self.stamp)));
    }

    /// Replaces the exporters by others that do the same.
    pub fn swap(&mut self) {
        // Few different ones: each is compiled once, by whoever comes first.
        self.stamp = (self.stamp + 1) % 3;
        self.put("ledger.wasm", stamped(&self.wasm, &format!("swap {}", self.stamp)));
    }

    /// Replaces them by what cannot be loaded, for a while.
    pub fn swap_for_nonsense(&mut self, time: Duration) {
        self.put("ledger.wasm", "no component");
        std::thread::sleep(time);
        self.swap();
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        self.plugins.put_written(name, content, LONG_AGO);
    }
}
