//! How many instructions an entry takes to decode and to correlate: no clock is asked, so the figures are the same on a busy machine as on an idle one, and
//! CI can hold them to a bound. `cargo xtask instructions` does that; without `check` they are only shown.
//!
//! The program runs itself under valgrind's callgrind once for each stage. Only what happens within the function of that stage is counted.

#![expect(clippy::expect_used, reason = "a bench that cannot begin has nothing to say")]

use std::env;
use std::process::{Command, ExitCode, Stdio};

use meshtrace_instructions::correlate::{Correlator, Decided, Rules};
use meshtrace_instructions::decode::{Decoder, Event};
use meshtrace_instructions::model::Receipt;
use meshtrace_instructions::source::Batch;

/// A stage and what it may take.
struct Stage {
    name: &'static str,
    /// The function within which is counted, as callgrind calls it.
    function: &'static str,
    /// Instructions per entry as `cargo xtask instructions` measured them when this was last changed.
    measured: u64,
}

const STAGES: [Stage; 2] = [
    Stage {
        name: "decode",
        function: "*instructions::decode_all*",
        measured: 10_591,
    },
    Stage {
        name: "correlate",
        function: "*instructions::correlate_all*",
        measured: 1_641,
    },
];

/// A stage may take so many hundredths more, since compilers and processors differ a little; with as many fewer the bound is to be drawn closer.
const LEEWAY_PER_CENT: u64 = 10;
/// What `cargo xtask instructions` says, so that bounds are asked for of the build only that they were measured with.
const CHECK: &str = "check";
/// Where this source is, for people.
const SOURCE: &str = "tests/instructions/benches/instructions.rs";

/// Events as agents sent them, an entry each.
const CAPTURED: &str = include_str!("../../fixtures/mesh-events-python.ndjson");
/// They are taken so many times, with ids of their own each time; the first times are for texts that are interned.
const WARM: u64 = 2;
const ROUNDS: u64 = 10;
const AT_MS: u64 = 1_795_221_703_000;
/// Past every wait.
const LATER_MS: u64 = AT_MS + 3_600_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [stage] = &arguments[..]
        && STAGES.iter().any(|known| known.name == stage)
    {
        run(stage);
        return ExitCode::SUCCESS;
    }
    let checks = arguments.iter().any(|argument| argument == CHECK);
    let mut within = true;
    for stage in &STAGES {
        match stage.count() {
            Ok(found) => within &= stage.judge(found, checks),
            Err(error) => {
                eprintln!("instructions: {}: {error}", stage.name);
                within &= !checks;
            }
        }
    }
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Stage {
    /// Instructions per entry.
    fn count(&self) -> Result<u64, String> {
        let own = env::current_exe().map_err(|error| error.to_string())?;
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
        valgrind.arg(format!("--toggle-collect={}", self.function)).arg(own).arg(self.name).stdin(Stdio::null());
        let output = valgrind
            .output()
            .map_err(|error| format!("valgrind does not run ({error}); on Debian and Ubuntu: apt-get install valgrind"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let entries = String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().ok();
        // As in `==123== Collected : 4567`.
        let counted = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
        match (counted, entries) {
            // Nothing at all is what is counted when the function has another name.
            (Some(counted @ 1..), Some(entries @ 1..)) if output.status.success() => Ok(counted / entries),
            _ => Err(format!("nothing was counted within {}; valgrind ended with {} and said:\n{said}", self.function, output.status)),
        }
    }

    /// Says what was found; whether it is what it may be.
    fn judge(&self, found: u64, checks: bool) -> bool {
        let Stage { name, measured, .. } = self;
        let (most, least) = (measured * (100 + LEEWAY_PER_CENT) / 100, measured * (100 - LEEWAY_PER_CENT) / 100);
        if !checks {
            println!("{name}: {found} instructions per entry");
            return true;
        }
        println!("{name}: {found} instructions per entry, {most} are allowed ({measured} when that was set, and {LEEWAY_PER_CENT} % more)");
        if found < least {
            println!("  it has become cheaper: set `measured` of \"{name}\" in {SOURCE} to {found}, so that it stays so");
        }
        if found > most {
            eprintln!(
                "instructions: {name} takes {found} instructions per entry, more than the {most} that are allowed.\n\
                 If that is not meant, `valgrind --tool=callgrind` and `callgrind_annotate` show where they go.\n\
                 If it is worth it, set `measured` of \"{name}\" in {SOURCE} to {found}, and let the commit say what it buys."
            );
        }
        found <= most
    }
}

/// Runs one stage within its function, and says how many entries that was.
fn run(stage: &str) {
    let mut decoder = Decoder::default();
    (0..WARM).for_each(|round| drop(decode_warm(&mut decoder, round)));
    let batches: Vec<Batch> = (WARM..WARM + ROUNDS).map(entries).collect();
    let entries = match stage {
        "decode" => decode_all(&mut decoder, batches).len(),
        _ => {
            let events: Vec<Event> = (WARM..WARM + ROUNDS).flat_map(|round| decode_warm(&mut decoder, round)).collect();
            let entries = events.len();
            let decided = correlate_all(events);
            assert!(!decided.is_empty(), "no trace came out");
            entries
        }
    };
    println!("{entries}");
}

/// All captured entries, as a source hands them on.
fn entries(round: u64) -> Batch {
    let mut batch = Batch::default();
    for (line, seq) in CAPTURED.lines().zip(0..) {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a captured entry");
        batch.push_entry(Receipt { stream: 0, ms: AT_MS, seq }, AT_MS);
        for (key, value) in entry["fields"].as_object().expect("its fields") {
            let value = value.as_str().unwrap_or_default();
            batch.push_field(key.as_bytes(), own_id(key, value, round).as_deref().unwrap_or(value).as_bytes());
        }
    }
    batch
}

/// The id that stands for this one in this round; `None` for what is no id.
fn own_id(key: &str, value: &str, round: u64) -> Option<String> {
    let is_id = matches!(key, "trace_id" | "span_id" | "parent_span") && matches!(value.len(), 16 | 32);
    (is_id && value.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| format!("{round:04x}{}", &value[4..]))
}

fn decode_warm(decoder: &mut Decoder, round: u64) -> Vec<Event> {
    entries(round).drain().filter_map(|entry| decoder.decode(&entry).ok()).collect()
}

/// What is counted of decoding. Nothing of it may be inlined into its caller, nor have a name that begins like it: either would switch the count off.
#[inline(never)]
fn decode_all(decoder: &mut Decoder, batches: Vec<Batch>) -> Vec<Event> {
    let mut events = Vec::new();
    for mut batch in batches {
        for entry in batch.drain() {
            if let Ok(event) = decoder.decode(&entry) {
                events.push(event);
            }
        }
    }
    events
}

/// What is counted of correlating, likewise: from events to decided traces.
#[inline(never)]
fn correlate_all(events: Vec<Event>) -> Vec<Decided> {
    let (mut correlator, mut decided) = (Correlator::new(Rules::default()), Vec::new());
    for (event, seq) in events.into_iter().zip(0..) {
        correlator.add(event, Receipt { stream: 0, ms: AT_MS, seq }, AT_MS, &mut decided);
    }
    correlator.advance(LATER_MS, &mut decided);
    decided
}
