//! What is read again, and what is not believed.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;
use crate::plugin::{Bundled, Compiler, Origin};

/// A component with nothing in it but a section of so many bytes, which the engine leaves out.
pub(in crate::plugin) fn empty_component(bytes: usize) -> Vec<u8> {
    // A custom section: its length as five bytes of LEB128, and "x", its name.
    let length = bytes + 2;
    let leb: Vec<u8> = (0..5).map(|at| ((length >> (7 * at)) & 0x7f) as u8 | if at < 4 { 0x80 } else { 0 }).collect();
    [b"\0asm\x0d\0\x01\0\0".as_slice(), &leb, b"\x01x", &vec![0; bytes]].concat()
}

/// A directory of entries, used by one host after the other.
struct Kept {
    /// Holds `dir`, and is removed with this value.
    _around: TempDir,
    dir: PathBuf,
}

impl Kept {
    fn new() -> Kept {
        let around = tempfile::tempdir().expect("a directory");
        Kept {
            dir: around.path().join("a/cache"),
            _around: around,
        }
    }

    /// What the next host makes of a component.
    fn origin(&self, wasm: &[u8]) -> Origin {
        let engine = Engine::new().expect("an engine");
        let cache = Cache::open(self.dir.clone(), &engine);
        Compiler::new(engine, Some(cache)).code(wasm).expect("a component").1
    }

    #[track_caller]
    fn assert_compiles(&self, wasm: &[u8]) {
        assert!(matches!(self.origin(wasm), Origin::Compiled { .. }), "it was read");
    }

    #[track_caller]
    fn assert_reads(&self, wasm: &[u8]) {
        assert!(matches!(self.origin(wasm), Origin::Cached { .. }), "it was compiled");
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(&self.dir).into_iter().flatten();
        let mut names: Vec<String> = files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// The path of the entry of a component.
    fn entry(&self, wasm: &[u8]) -> PathBuf {
        let engine = Engine::new().expect("an engine");
        self.dir.join(entry::name(&entry::engine_id(&engine.wasmtime), &entry::sha256(&[wasm])))
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a change");
}

fn age(path: &Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    File::open(path).and_then(|file| file.set_modified(then)).expect("a change");
}

#[test]
fn a_plugin_that_was_compiled_once_is_read_by_the_next_host_and_is_the_same() {
    let kept = Kept::new();
    let wasm = Bundled::bytes("console").expect("a bundled plugin");
    let start = || {
        let engine = Engine::new().expect("an engine");
        let compiler = Compiler::new(engine.clone(), Some(Cache::open(kept.dir.clone(), &engine)));
        let (component, origin) = compiler.component("console", wasm).expect("a component");
        let ty = component.pre.component().component_type();
        (ty.exports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), origin)
    };
    let (compiled, first) = start();
    let (read, second) = start();
    assert!(matches!((first, second), (Origin::Compiled { .. }, Origin::Cached { .. })), "{first:?}, {second:?}");
    assert!(!compiled.is_empty());
    assert_eq!(compiled, read);
    assert_eq!((mode(&kept.dir), mode(&kept.entry(wasm)), kept.names().len()), (0o700, 0o600, 1));
}

#[test]
fn what_is_damaged_is_compiled_anew_and_replaced() {
    let kept = Kept::new();
    let wasm = empty_component(1);
    kept.assert_compiles(&wasm);
    let entry = kept.entry(&wasm);
    let good = fs::read(&entry).expect("an entry");
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    // Each part of the head, and the beginning and the end of the code.
    let mut damaged: Vec<Vec<u8>> = [0, 24, 56, 88, 96, 127, HEAD_BYTES, good.len() - 1].map(flipped).into();
    damaged.extend([0, 1, HEAD_BYTES - 1, HEAD_BYTES, good.len() - 1].map(|length| good[..length].to_vec()));
    damaged.push([good.as_slice(), b"\0"].concat());
    for bytes in damaged {
        fs::write(&entry, &bytes).expect("a file");
        kept.assert_compiles(&wasm);
        kept.assert_reads(&wasm);
        assert_eq!(kept.names().len(), 1);
    }
}

#[test]
fn an_entry_of_another_component_is_not_used_whatever_its_name_is() {
    let kept = Kept::new();
    let (one, other) = (empty_component(1), empty_component(2));
    kept.assert_compiles(&one);
    kept.assert_compiles(&other);
    let aside = kept.dir.join("aside");
    fs::rename(kept.entry(&one), &aside).expect("a new name");
    fs::rename(kept.entry(&other), kept.entry(&one)).expect("a new name");
    fs::rename(&aside, kept.entry(&other)).expect("a new name");
    kept.assert_compiles(&one);
    kept.assert_compiles(&other);
    kept.assert_reads(&one);
}

#[test]
fn an_entry_of_another_engine_is_not_used_whatever_its_name_is() {
    let kept = Kept::new();
    let wasm = empty_component(1);
    let mut config = wasmtime::Config::new();
    config.wasm_component_model(true).epoch_interruption(false);
    let other = Engine {
        wasmtime: wasmtime::Engine::new(&config).expect("an engine"),
    };
    let cache = Cache::open(kept.dir.clone(), &other);
    Compiler::new(other, Some(cache)).code(&wasm).expect("a component");
    let foreign = kept.dir.join(&kept.names()[0]);
    assert_ne!(foreign, kept.entry(&wasm));
    fs::copy(&foreign, kept.entry(&wasm)).expect("a copy");
    kept.assert_compiles(&wasm);
    kept.assert_reads(&wasm);
    assert!(foreign.exists(), "another version may be using it");
}

#[test]
fn an_entry_that_is_not_ours_alone_is_not_used() {
    let kept = Kept::new();
    let wasm = empty_component(1);
    kept.assert_compiles(&wasm);
    let entry = kept.entry(&wasm);
    let aside = kept.dir.join("aside");
    let spoil: [&dyn Fn(); 5] = [
        &|| set_mode(&entry, 0o666),
        &|| set_mode(&entry, 0o620),
        &|| set_mode(&entry, 0o640),
        &|| {
            fs::rename(&entry, &aside).expect("a new name");
            symlink(&aside, &entry).expect("a link");
        },
        &|| {
            fs::remove_file(&entry).expect("it is removed");
            let made = std::process::Command::new("mkfifo").arg("--mode=600").arg(&entry).status();
            assert!(made.is_ok_and(|made| made.success()));
        },
    ];
    for spoil in spoil {
        kept.assert_reads(&wasm);
        spoil();
        kept.assert_compiles(&wasm);
        assert!(fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_file()));
        assert_eq!(mode(&entry), 0o600);
    }
    kept.assert_reads(&wasm);
    let mut place = Place::new(kept.dir.clone());
    place.user += 1;
    let name = kept.entry(&wasm).file_name().and_then(|name| name.to_str().map(str::to_owned)).expect("a name");
    let own = place.user - 1;
    assert_eq!(place.read(&name, MAX_BYTES), Err(format!("it belongs to the user {own}, and meshtrace runs as {}", own + 1)));
}

#[test]
fn a_directory_that_is_not_ours_alone_is_not_used() {
    let kept = Kept::new();
    let wasm = empty_component(1);
    kept.assert_compiles(&wasm);
    for unsafe_mode in [0o777, 0o720, 0o702, 0o1777] {
        set_mode(&kept.dir, unsafe_mode);
        kept.assert_compiles(&wasm);
    }
    set_mode(&kept.dir, 0o755);
    kept.assert_reads(&wasm);

    let mut place = Place::new(kept.dir.clone());
    place.user += 1;
    let own = place.user - 1;
    assert_eq!(place.check(), Err(format!("it belongs to the user {own}, and meshtrace runs as {}", own + 1)));

    let real = kept.dir.with_file_name("real");
    fs::rename(&kept.dir, &real).expect("a new name");
    symlink(&real, &kept.dir).expect("a link");
    kept.assert_compiles(&wasm);
}

#[test]
fn a_directory_that_cannot_be_made_or_written_costs_nothing_but_the_entries() {
    let mut kept = Kept::new();
    let wasm = empty_component(1);
    kept.assert_compiles(&wasm);
    // A directory in its place cannot be replaced by a file, as on a disk where nothing can be written.
    let other = empty_component(2);
    fs::create_dir_all(kept.entry(&other).join("full")).expect("a directory");
    kept.assert_compiles(&other);
    kept.assert_compiles(&other);
    assert_eq!(kept.names().len(), 2, "nothing unfinished stays: {:?}", kept.names());
    kept.assert_reads(&wasm);
    // Below a file there is no directory.
    kept.dir = kept.entry(&wasm);
    kept.assert_compiles(&wasm);
    kept.dir = kept.dir.join("below");
    kept.assert_compiles(&wasm);
}

#[test]
fn the_longest_unused_entries_make_room() {
    let kept = Kept::new();
    let components: Vec<Vec<u8>> = (0..4).map(empty_component).collect();
    let compile = |max_bytes: u64, wasm: &[u8]| {
        let engine = Engine::new().expect("an engine");
        let cache = Cache::bounded(kept.dir.clone(), &engine, max_bytes);
        Compiler::new(engine, Some(cache)).code(wasm).expect("a component");
    };
    for (at, wasm) in components[..3].iter().enumerate() {
        compile(MAX_BYTES, wasm);
        age(&kept.entry(wasm), 30 - at as u64);
    }
    // The oldest is used again, so that the second has not been used for longest.
    kept.assert_reads(&components[0]);
    let entry_bytes = fs::metadata(kept.entry(&components[0])).expect("an entry").len();
    compile(3 * entry_bytes, &components[3]);
    let there = |wasm: &Vec<u8>| kept.entry(wasm).exists();
    assert_eq!(components.iter().map(there).collect::<Vec<_>>(), [true, false, true, true]);
    // A bound that was lowered holds from the next start on; an entry that exceeds it alone is not kept.
    compile(entry_bytes - 1, &components[1]);
    assert_eq!(kept.names(), [""; 0]);
}

#[test]
fn what_other_versions_left_goes_when_nobody_has_used_it_for_a_day_and_nothing_else_does() {
    let kept = Kept::new();
    let wasm = empty_component(1);
    kept.assert_compiles(&wasm);
    let own = kept.entry(&wasm);
    age(&own, 1_000);
    let foreign = format!("{}-{}{}", "0".repeat(16), "a".repeat(64), entry::SUFFIX);
    for (name, hours) in
        [(foreign.as_str(), 25), ("01-02.compiled", 23), (".unfinished-x", 25), (".unfinished-y", 23), ("notes-x.compiled", 99)]
    {
        fs::write(kept.dir.join(name), "bytes").expect("a file");
        age(&kept.dir.join(name), hours);
    }
    kept.assert_reads(&wasm);
    let own = own.file_name().and_then(|name| name.to_str()).expect("a name");
    let mut expected = [".unfinished-y", "01-02.compiled", own, "notes-x.compiled"];
    expected.sort_unstable();
    assert_eq!(kept.names(), expected);
}

#[test]
fn a_directory_that_a_plugin_may_write_is_seen_to_hold_the_cache() {
    let around = tempfile::tempdir().expect("a directory");
    let real = around.path().join("home");
    fs::create_dir(&real).expect("a directory");
    let link = around.path().join("link");
    symlink(&real, &link).expect("a link");
    for granted in [around.path(), &real, &link, &real.join("cache/..")] {
        assert!(Cache::lies_in(&real.join("cache/meshtrace"), granted), "{}", granted.display());
        assert!(Cache::lies_in(&link.join("missing/../cache/meshtrace"), granted), "{}", granted.display());
    }
    for granted in [real.join("cache/meshtrac"), real.join("json"), link.join("json")] {
        assert!(!Cache::lies_in(&real.join("cache/meshtrace"), &granted), "{}", granted.display());
    }
}
