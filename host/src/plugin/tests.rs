//! Guests written by hand: what cannot be said in a language that compiles to components.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Runtime;

use super::{Compiler, Component, Counters, Engine, Grants, Instance, Limit, Limits, Setup};
use crate::batch::{Resident, TraceBatch};
use crate::export::{Exporter, Outcome};

#[path = "../../../tests/support/wat.rs"]
mod wat;

/// A guest of which everything but `parts` does nothing. 1024 to 2047 is all zeros, which is "nothing, and all is well" in every answer.
fn exporter(parts: &[(&str, &str)]) -> Vec<u8> {
    wat::exporter(&module(parts))
}

fn module(parts: &[(&str, &str)]) -> String {
    let part =
        |name: &str, default: &str| parts.iter().find(|(own, _)| *own == name).map_or(default.to_owned(), |(_, text)| (*text).to_owned());
    let function = |name: &str, parameters: &str| {
        let body = part(name, "(i32.const 1024)");
        format!("(func (export {name:?}) {parameters} (result i32) {body})")
    };
    format!(
        r#"(module
            {}
            (memory (export "memory") {})
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            {} {} {} {})"#,
        part("definitions", ""),
        part("memory", "1"),
        function("describe", ""),
        function("init", "(param i32 i32)"),
        function("export-batch", ""),
        function("flush", ""),
    )
}

pub(super) fn setup(limits: Limits) -> Setup {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    Setup {
        name: "p".into(),
        config: "{}".into(),
        grants: Grants::default(),
        limits,
        counters: Arc::default(),
        runtime: runtime.handle().clone(),
    }
}

pub(super) fn compiled(wasm: &[u8]) -> Component {
    static COMPILER: OnceLock<Compiler> = OnceLock::new();
    let compiler = COMPILER.get_or_init(|| Compiler::new(Engine::new().expect("an engine"), None));
    compiler.component("p", wasm).unwrap_or_else(|error| panic!("{error:#}")).0
}

fn started(wasm: &[u8], limits: Limits) -> (anyhow::Result<Instance>, Arc<Counters>) {
    let setup = setup(limits);
    let counters = Arc::clone(&setup.counters);
    (Instance::start(compiled(wasm), setup), counters)
}

fn hits(counters: &Counters) -> Vec<(Limit, u64)> {
    counters.hits().filter(|(_, hits)| *hits > 0).collect()
}

/// What becomes of an empty batch, and the limits that it hit.
fn exported(wasm: &[u8], limits: Limits) -> (Outcome, Vec<(Limit, u64)>) {
    let (instance, counters) = started(wasm, limits);
    let outcome = instance.expect("it starts").export(&Arc::new(TraceBatch::new(Vec::new())));
    (outcome, hits(&counters))
}

/// Why it does not start, and the limits that it hit.
fn refused(wasm: &[u8], limits: Limits) -> (String, Vec<(Limit, u64)>) {
    let (instance, counters) = started(wasm, limits);
    (format!("{:#}", instance.expect_err("it does not start")), hits(&counters))
}

fn failed(reason: &str) -> Outcome {
    Outcome::Failed(reason.into())
}

#[test]
fn a_guest_that_does_nothing_works() {
    assert_eq!(exported(&exporter(&[]), Limits::default()), (Outcome::Delivered, vec![]));
}

#[test]
fn a_table_has_an_end() {
    let (outcome, hits) = exported(&wat::exporter(include_str!("../../../tests/evil/table-bomb.wat")), Limits::default());
    let expected =
        "export-batch: it panicked or aborted after it wanted 1 more elements of tables than its limit of 100000 (limits.table-elements)";
    assert_eq!((outcome, hits), (failed(expected), vec![(Limit::TableElements, 1)]));
}

#[test]
fn memory_that_is_needed_from_the_start_is_limited_too() {
    let limits = Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    let (reason, hits) = refused(&exporter(&[("memory", "17")]), limits);
    let expected = r#"plugin "p" failed in starting: it needs at least 1088 KiB of memory, its limit is 1 MiB (limits.memory-bytes)"#;
    assert_eq!((reason.as_str(), hits), (expected, vec![(Limit::Memory, 1)]));
}

#[test]
fn memory_that_is_wanted_later_is_limited() {
    let grow = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let (outcome, hits) = exported(
        &exporter(&[("export-batch", grow)]),
        Limits {
            memory_bytes: 4 << 20,
            ..Limits::default()
        },
    );
    let expected =
        "export-batch: it panicked or aborted after it wanted 64 KiB more of memory than its limit of 4 MiB (limits.memory-bytes)";
    assert_eq!((outcome, hits), (failed(expected), vec![(Limit::Memory, 1)]));
}

#[test]
fn a_component_has_only_so_many_parts() {
    let tables = "(table 0 funcref) ".repeat(65);
    let (reason, hits) = refused(&exporter(&[("definitions", &tables)]), Limits::default());
    let expected =
        r#"plugin "p" failed in starting: it consists of more instances, tables or memories than its limit of 64 (limits.instances)"#;
    assert_eq!((reason.as_str(), hits), (expected, vec![(Limit::Instances, 1)]));
}

/// No limiter sees a memory that is shared between threads; there are none.
#[test]
fn memory_that_nobody_counts_is_refused() {
    let engine = Engine::new().expect("an engine");
    let refused = Compiler::new(engine, None).component("p", &exporter(&[("definitions", "(memory $shared 1 65536 shared)")]));
    let reason = format!("{:#}", refused.expect_err("it is refused"));
    assert!(reason.starts_with(r#"plugin "p": the component is not valid"#) && reason.contains("threads"), "{reason}");
}

#[test]
fn the_stack_has_an_end() {
    let (outcome, hits) = exported(
        &exporter(&[("definitions", "(func $deeper (call $deeper) (call $deeper))"), ("export-batch", "(call $deeper) (i32.const 1024)")]),
        Limits::default(),
    );
    let expected = "export-batch: it called itself too deeply: its stack is larger than its limit of 512 KiB, which no setting changes";
    assert_eq!((outcome, hits), (failed(expected), vec![(Limit::Stack, 1)]));
}

#[test]
fn a_loop_ends_in_every_moment() {
    let endless = "(loop $for_ever (br $for_ever)) (i32.const 1024)";
    let limits = Limits {
        call_time: std::time::Duration::from_millis(50),
        init_time: std::time::Duration::from_millis(70),
        ..Limits::default()
    };
    for moment in ["describe", "init"] {
        let (reason, hits) = refused(&exporter(&[(moment, endless)]), limits.clone());
        let expected = format!(r#"plugin "p" failed in {moment}: it ran longer than its limit of 70 ms (limits.init-time)"#);
        assert_eq!((reason, hits), (expected, vec![(Limit::InitTime, 1)]));
    }
    let (outcome, hits) = exported(&exporter(&[("export-batch", endless)]), limits.clone());
    assert_eq!(
        (outcome, hits),
        (failed("export-batch: it ran longer than its limit of 50 ms (limits.call-time)"), vec![(Limit::CallTime, 1)])
    );
    let (instance, _) = started(&exporter(&[("flush", endless)]), limits);
    let flushed = instance.expect("it starts").flush();
    assert_eq!(flushed, Err("flush: it ran longer than its limit of 50 ms (limits.call-time)".into()));
}

/// An answer of `rejected` with a reason of so many bytes, which lie at 0.
fn rejected(bytes: usize) -> String {
    format!("(i32.store8 (i32.const 1024) (i32.const 2)) (i32.store (i32.const 1032) (i32.const {bytes})) (i32.const 1024)")
}

#[test]
fn a_giant_answer_is_refused() {
    let limits = Limits {
        result_bytes: 100_000,
        ..Limits::default()
    };
    let (outcome, hits) = exported(&exporter(&[("memory", "4"), ("export-batch", &rejected(100_001))]), limits);
    let expected = "export-batch: it handed more to the host at once than its limit of 100000 bytes (limits.result-bytes)";
    assert_eq!((outcome, hits), (failed(expected), vec![(Limit::ResultBytes, 1)]));
}

#[test]
fn a_long_reason_is_cut() {
    let limits = Limits { text_bytes: 3, ..Limits::default() };
    let (outcome, hits) =
        exported(&exporter(&[("definitions", "(data (i32.const 0) \"abcdefgh\")"), ("export-batch", &rejected(8))]), limits);
    assert_eq!((outcome, hits), (Outcome::Rejected("abc…".into()), vec![(Limit::TextBytes, 1)]));
}

#[test]
fn an_answer_that_is_no_text_is_none() {
    let (outcome, hits) =
        exported(&exporter(&[("definitions", "(data (i32.const 0) \"ab\\ff\")"), ("export-batch", &rejected(3))]), Limits::default());
    let Outcome::Failed(reason) = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("export-batch: ") && reason.contains("utf-8"), "{reason}");
    assert_eq!(hits, vec![]);
}

/// The state of an exporter whose module has `snapshot` and `restore`.
const STATE: &str = r#"
  (func $snapshot (result (list u8)) (canon lift (core func $guest "snapshot") (memory $memory)))
  (func $restore (param "snapshot" (list u8)) (result (result (error string)))
    (canon lift (core func $guest "restore") (memory $memory) (realloc $realloc)))
  (instance $state (export "snapshot" (func $snapshot)) (export "restore" (func $restore)))
  (export "meshtrace:plugin/state@0.1.0" (instance $state))
"#;

#[test]
fn a_state_that_cannot_be_had_any_more_is_the_one_that_was_kept_last() {
    let once = r#"
        (global $asked (mut i32) (i32.const 0))
        (data (i32.const 100) "abc") (data (i32.const 2048) "\64\00\00\00\03\00\00\00")
        (func (export "restore") (param i32 i32) (result i32) (i32.const 1024))
        (func (export "snapshot") (result i32)
            (if (global.get $asked) (then unreachable))
            (global.set $asked (i32.const 1))
            (i32.const 2048))"#;
    let (instance, _) = started(&wat::exporter_with(&module(&[("definitions", once)]), STATE), Limits::default());
    let mut instance = instance.expect("it starts");
    let state = Ok(Some(b"abc".to_vec()));
    assert_eq!([instance.snapshot(), instance.snapshot(), instance.snapshot()], [state.clone(), state.clone(), state]);
    let never = once.replace("(global.get $asked)", "(i32.const 1)");
    let (instance, _) = started(&wat::exporter_with(&module(&[("definitions", &never)]), STATE), Limits::default());
    let refused = instance.expect("it starts").snapshot();
    assert_eq!(refused, Err("snapshot: it panicked or aborted (its log may say why)".to_owned()));
}
