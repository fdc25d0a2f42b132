//! Where compiling happens, and who waits for whom.

use super::*;
use crate::plugin::cache::empty_component;

fn compiler(cache_dir: Option<&std::path::Path>) -> Compiler {
    let engine = Engine::new().expect("an engine");
    let cache = cache_dir.map(|dir| Cache::open(dir.to_owned(), &engine));
    Compiler::new(engine, cache)
}

#[test]
fn compiling_runs_on_few_named_threads_that_give_way() {
    let priority = || rustix::process::getpriority_process(None).expect("a priority");
    let own = priority();
    let (names, theirs) = in_background(|| {
        let names = rayon::broadcast(|_| std::thread::current().name().map(str::to_owned));
        (names, priority())
    })
    .expect("threads");
    let processors = std::thread::available_parallelism().expect("a number").get();
    assert_eq!(names.len(), (processors / 2).max(1));
    assert!(names.iter().enumerate().all(|(at, name)| name.as_deref() == Some(&format!("compile-{at}"))), "{names:?}");
    #[cfg(target_os = "linux")]
    assert_eq!(theirs, (own + NICENESS).min(19));
    assert_eq!(priority(), own, "only those threads give way");
}

#[test]
fn a_compiler_that_panics_is_an_error() {
    let error = in_background(|| panic!("as a compiler might")).expect_err("an error");
    assert_eq!(error.to_string(), "the compiler panicked, which is a fault of its own");
}

#[test]
fn small_components_do_not_wait_for_large_ones() {
    let compiler = compiler(None);
    // Each would wait for ever if the other's turn were its own.
    let large_compiles = compiler.shared.large.lock().expect("the turn");
    assert!(matches!(compiler.code(&empty_component(10)), Ok((_, Origin::Compiled { .. }))));
    drop(large_compiles);
    let _small_compiles = compiler.shared.small.lock().expect("the turn");
    assert!(matches!(compiler.code(&empty_component(LARGE_BYTES)), Ok((_, Origin::Compiled { .. }))));
}

#[test]
fn what_several_ask_for_at_once_is_compiled_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let compiler = compiler(Some(dir.path()));
    let origins: Vec<Origin> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| compiler.code(&empty_component(10)).expect("a component").1)).collect();
        asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
    });
    assert_eq!(origins.iter().filter(|origin| matches!(origin, Origin::Compiled { .. })).count(), 1, "{origins:?}");
}

#[test]
fn what_is_no_component_is_refused_and_not_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let compiler = compiler(Some(dir.path()));
    let mut wasm = empty_component(10);
    wasm.truncate(12);
    let error = compiler.code(&wasm).expect_err("an error");
    assert_eq!(error.to_string(), "the component is not valid; is the file complete?");
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
}
