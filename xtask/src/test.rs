//! `cargo xtask test`: all checks, the cheap ones first. The first that fails ends it, with the command that repeats it.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::{examples, instructions, setup, shell, torture};

#[derive(Clone, Copy, PartialEq)]
pub enum Extent {
    Full,
    /// For the time between two edits of the host: without plugins/ and docs, and with little of the fault harness.
    Quick,
}

struct Step {
    name: &'static str,
    work: Work,
    /// Whether `--quick` has it too.
    quick: bool,
}

enum Work {
    /// Another command of xtask.
    Own(&'static str, fn() -> Result<()>),
    /// A cargo command in a folder of the repository.
    Cargo(&'static str, &'static str),
    /// `cargo doc` with these words in a folder of the repository, where a warning is an error.
    Doc(&'static str, &'static str),
    /// `cargo test --workspace`, the fault harness beside all others.
    Tests,
}

// With the targets of the fuzzers, which nothing else compiles but for tests.
const CLIPPY_HOST: &str = "clippy --workspace --all-targets --features xtask/c-guest,xtask/go-guest,meshtrace/fuzz -- -D warnings";
const DOC: &str = "doc --no-deps --workspace --features xtask/c-guest,xtask/go-guest";
const DOC_PLUGINS: &str = "doc --no-deps --workspace";
const CLIPPY_ATTACKERS: &str = "clippy --release --examples --target wasm32-wasip2 --target-dir ../../target/evil -- -D warnings";
// Where the bench builds them, so that neither compiles again what the other has.
const CLIPPY_BENCH_GUESTS: &str =
    "clippy --release --examples --target wasm32-wasip2 --target-dir ../../../target/bench-guests -- -D warnings";
const CLIPPY_PLUGINS: &str = "clippy --workspace --all-targets -- -D warnings";
const CLIPPY_GUESTS: &str = "clippy --workspace --target wasm32-wasip2 -- -D warnings";

/// Tests of the whole host wait more than they compute: more of them run at a time than a small machine has cores.
const TEST_THREADS: &str = "6";

/// What is printed by this test is for people, and decides nothing.
const MEASUREMENT: &str = "journal_cost";

/// How long the fault harness runs within a quick run; it breaks things a few times then.
const QUICK_TORTURE_MINUTES: (&str, &str) = ("MESHTRACE_TORTURE_MINUTES", "0.3");

/// All of it in the dev profile, and docs after lints: these two share what they compile, and so do examples and tests.
const STEPS: [Step; 17] = [
    always("setup", Work::Own("setup", setup::run)),
    always("format", Work::Cargo("", "fmt --all --check")),
    when_full("format plugins", Work::Cargo("plugins", "fmt --all --check")),
    when_full("format attackers", Work::Cargo("tests/evil", "fmt --all --check")),
    when_full("format bench guests", Work::Cargo("tests/bench/guests", "fmt --all --check")),
    when_full("format fuzz targets", Work::Cargo("tests/fuzz", "fmt --check")),
    when_full("lint plugins", Work::Cargo("plugins", CLIPPY_PLUGINS)),
    when_full("lint plugins for wasm", Work::Cargo("plugins", CLIPPY_GUESTS)),
    when_full("test plugins", Work::Cargo("plugins", "test --workspace")),
    always("lint", Work::Cargo("", CLIPPY_HOST)),
    when_full("docs", Work::Doc("", DOC)),
    when_full("docs of plugins", Work::Doc("plugins", DOC_PLUGINS)),
    when_full("lint attackers", Work::Cargo("tests/evil", CLIPPY_ATTACKERS)),
    when_full("lint bench guests", Work::Cargo("tests/bench/guests", CLIPPY_BENCH_GUESTS)),
    always("examples", Work::Own("examples", examples::run)),
    when_full("instructions", Work::Own("instructions", instructions::run)),
    always("test", Work::Tests),
];

const fn always(name: &'static str, work: Work) -> Step {
    Step { name, work, quick: true }
}

const fn when_full(name: &'static str, work: Work) -> Step {
    Step { name, work, quick: false }
}

pub fn run(extent: Extent) -> Result<()> {
    let begin = Instant::now();
    let mut times = Vec::new();
    let wanted = STEPS.iter().filter(|step| extent == Extent::Full || step.quick);
    let result = wanted.into_iter().try_for_each(|step| {
        let (time, result) = run_step(step, extent);
        times.push((step.name, time, if result.is_ok() { "" } else { "  FAILED" }));
        result
    });
    eprintln!();
    for (name, time, remark) in &times {
        eprintln!("  {name:<22}{:>8.1} s{remark}", time.as_secs_f64());
    }
    eprintln!("  {:<22}{:>8.1} s", "all", begin.elapsed().as_secs_f64());
    result
}

fn run_step(step: &Step, extent: Extent) -> (Duration, Result<()>) {
    eprintln!("xtask: {} …", step.name);
    let begin = Instant::now();
    let result = match &step.work {
        Work::Own(_, command) => command(),
        Work::Cargo(folder, words) => shell::run(shell::cargo_in(folder).args(words.split(' '))),
        Work::Tests => run_tests(extent),
        Work::Doc(folder, words) => shell::run(shell::cargo_in(folder).args(words.split(' ')).env("RUSTDOCFLAGS", "-D warnings")),
    };
    let time = begin.elapsed();
    eprintln!("xtask: {} {} after {:.1} s", step.name, if result.is_ok() { "done" } else { "failed" }, time.as_secs_f64());
    (time, result.map_err(|error| anyhow!("{}: {error:#}\nxtask: to repeat it: {}", step.name, repeat(&step.work))))
}

/// The fault harness waits for most of its time. Alone at the end, where the alphabet puts it, it would cost minutes; so it runs beside the others.
fn run_tests(extent: Extent) -> Result<()> {
    shell::run(shell::cargo().args(["test", "--workspace", "--no-run"]))?;
    std::thread::scope(|scope| {
        let torture = scope.spawn(|| {
            let mut torture = torture::harness();
            if extent == Extent::Quick {
                let (variable, minutes) = QUICK_TORTURE_MINUTES;
                torture.env(variable, minutes);
            }
            shell::run_quietly(torture.arg(torture::TORTURE))
        });
        let mut others = shell::cargo();
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            others.env("RUST_TEST_THREADS", TEST_THREADS);
        }
        // Those that plain `cargo test` ignores need examples, which are built by now; but one measures.
        others.args(["test", "--workspace", "--", "--include-ignored", "--skip", torture::TORTURE, "--skip", MEASUREMENT]);
        let others = shell::run(&mut others);
        let torture = torture.join().map_err(|_| anyhow!("the fault harness could not be run"))?;
        others.and(torture)
    })
}

/// What a person types in the repository's root to do a step again.
fn repeat(work: &Work) -> String {
    match work {
        Work::Own(command, _) => format!("cargo xtask {command}"),
        Work::Tests => "cargo test --workspace".to_owned(),
        Work::Cargo("", words) => format!("cargo {words}"),
        Work::Cargo(folder, words) => format!("(cd {folder} && cargo {words})"),
        Work::Doc("", words) => format!("RUSTDOCFLAGS='-D warnings' cargo {words}"),
        Work::Doc(folder, words) => format!("(cd {folder} && RUSTDOCFLAGS='-D warnings' cargo {words})"),
    }
}
