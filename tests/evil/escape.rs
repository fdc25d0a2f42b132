//! Tries to get out of the directories `/in`, which it may read, and `/out`, which it may write, at an attack; says what came of each try.

use std::fs;

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, export_exporter, log};
use wasip2::filesystem::preopens::get_directories;

struct Escape;

impl Exporter for Escape {
    fn describe() -> Description {
        Description::new("escape", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Escape)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "escape") {
            for path in ["/etc/passwd", "/in/../outside", "/in/link", "/in/dir/outside", "/in/deep/../../outside", "/in/inside"] {
                log!(Level::Info, "read {path}: {}", evil::kind(&fs::read(path)));
            }
            link("../outside", "link");
            link("/etc/passwd", "absolute");
            for path in ["/in/inside", "/in/new", "/out/../outside", "/out/link", "/out/inside"] {
                log!(Level::Info, "write {path}: {}", evil::kind(&fs::write(path, "x")));
            }
            log!(Level::Info, "rename: {}", evil::kind(&fs::rename("/out/inside", "/in/taken")));
            log!(Level::Info, "remove: {}", evil::kind(&fs::remove_file("/in/inside")));
            log!(Level::Info, "make: {}", evil::kind(&fs::create_dir("/in/dirs")));
        }
        evil::take_all(batch)
    }
}

/// Makes a link of its own in `/out`. The standard library has no stable way to.
fn link(target: &str, name: &str) {
    for (out, _) in get_directories().iter().filter(|(_, name)| name == "/out") {
        log!(Level::Info, "link {name}: {}", out.symlink_at(target, name).map_or_else(|code| code.name(), |()| "done"));
    }
}

export_exporter!(Escape);
