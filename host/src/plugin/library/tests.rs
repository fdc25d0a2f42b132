use super::*;
use crate::plugin::{Counters, Limits};

fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

fn look(library: &mut Library) -> Vec<(String, String)> {
    let found = library.look().expect("it can be read");
    let told = |found: &Found| match &found.source {
        Source::File(stamp) => stamp.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        other => other.describe(),
    };
    found.iter().map(|(name, found)| (name.clone(), told(found))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect()
}

#[test]
fn an_instance_is_named_by_its_toml_or_else_by_its_component() {
    let dir = dir(&[
        ("a.wasm", ""),
        ("b.wasm", ""),
        ("b.toml", ""),
        ("north.toml", "component = \"c.wasm\""),
        ("south.toml", "component = \"c.wasm\""),
        ("c.wasm", ""),
        ("json.toml", ""),
        ("copy.toml", "component = \"stats\""),
        ("lost.toml", ""),
        (".hidden.wasm", ""),
        ("x.wasm~", ""),
        ("x.wasm.tmp", ""),
        ("README.md", ""),
    ]);
    std::fs::create_dir(dir.path().join("d.wasm")).expect("a directory");
    let mut library = Library::new(Some(dir.path()));
    let expected = pairs(&[
        ("a", "a.wasm"),
        ("b", "b.wasm"),
        ("copy", "bundled stats"),
        ("json", "bundled json"),
        ("lost", "missing"),
        ("north", "c.wasm"),
        ("south", "c.wasm"),
    ]);
    assert_eq!(look(&mut library), expected);
}

#[test]
fn a_manifest_that_breaks_does_not_set_its_component_free() {
    let dir = dir(&[("north.toml", "component = \"c.wasm\""), ("c.wasm", "")]);
    let mut library = Library::new(Some(dir.path()));
    assert_eq!(look(&mut library), pairs(&[("north", "c.wasm")]));
    std::fs::write(dir.path().join("north.toml"), "component = ").expect("a file");
    assert_eq!(look(&mut library), pairs(&[("north", "c.wasm")]));
    assert!(library.look().expect("it can be read")["north"].manifest.is_err());
    std::fs::remove_file(dir.path().join("north.toml")).expect("it was there");
    assert_eq!(look(&mut library), pairs(&[("c", "c.wasm")]));
}

#[test]
fn what_a_link_leads_to_is_looked_at() {
    let dir = dir(&[("one", "1"), ("two", "2")]);
    let link = dir.path().join("p.wasm");
    std::os::unix::fs::symlink("one", &link).expect("a link");
    let mut library = Library::new(Some(dir.path()));
    let first = library.look().expect("it can be read");
    std::fs::remove_file(&link).expect("it was there");
    std::os::unix::fs::symlink("two", &link).expect("a link");
    assert_ne!(first, library.look().expect("it can be read"));
    std::fs::remove_file(dir.path().join("two")).expect("it was there");
    assert!(library.look().expect("it can be read").is_empty());
}

/// As of a file that grows while it is read: its size says nothing.
#[test]
fn no_more_of_a_component_is_read_than_its_limit() {
    let endless = Found::file(Path::new("/dev/zero")).expect("it is there");
    let (limits, counters) = (
        Limits {
            component_bytes: 1 << 20,
            ..Limits::default()
        },
        Counters::default(),
    );
    let error = endless.source.read(&limits, &counters).expect_err("it is refused");
    assert_eq!(error.to_string(), "/dev/zero has bytes without end, more than its limit of 1 MiB (limits.component-bytes)");
    assert_eq!(counters.hits().map(|(_, hits)| hits).sum::<u64>(), 1);
    let dir = dir(&[("p.wasm", "1234"), ("q.toml", &"# ".repeat(1 << 20))]);
    let found = Library::new(Some(dir.path())).look().expect("it can be read");
    let read = |max: usize| {
        found["p"]
            .source
            .read(
                &Limits {
                    component_bytes: max,
                    ..Limits::default()
                },
                &counters,
            )
            .map(|bytes| bytes.len())
            .ok()
    };
    assert_eq!((read(4), read(3)), (Some(4), None));
    let told = found["q"].manifest.clone().expect_err("it is too large");
    assert!(told.ends_with("q.toml: it has more than 1048576 bytes, and no more are read"), "{told}");
}

#[test]
fn filters_are_known_before_they_are_compiled() {
    let filters: Vec<&str> =
        Bundled::names().filter(|name| Source::Bundled((*name).to_owned()).may_be_filter(&Limits::default())).collect();
    assert_eq!(filters, ["redact", "sampling"]);
    assert_eq!(Bundled::exporters().collect::<Vec<_>>(), ["console", "json", "otlp", "stats"]);
    assert!(!Source::Missing(String::new()).may_be_filter(&Limits::default()));
}
