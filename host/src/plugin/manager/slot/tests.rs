//! What is decided about a name as time passes.

use std::time::SystemTime;

use super::*;
use crate::plugin::Library;

/// The directory, as it is believed.
const DIRECTORY: u64 = 0;
const PLACE: Absence = Absence {
    directory: DIRECTORY,
    meant: false,
    has_place: true,
};
const NOTHING_LEFT: Absence = Absence {
    directory: DIRECTORY,
    meant: false,
    has_place: false,
};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A directory with these files, as the library finds them. However long the test takes, they have just been written.
fn found(files: &[(&str, &str)]) -> (tempfile::TempDir, Found) {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        let file = std::fs::File::options().write(true).open(path).expect("a file");
        file.set_modified(SystemTime::now() + seconds(3_600.0)).expect("a time");
    }
    let found = Library::new(Some(dir.path())).look().expect("it can be read").remove("p").expect("it is defined");
    (dir, found)
}

/// A slot in which this runs, loaded long ago.
fn running(found: &Found) -> Slot {
    let mut slot = Slot::default();
    slot.begin(found.clone());
    slot.loaded(Some(Kind::Filter));
    slot
}

fn problem(reason: &str) -> Problem {
    Problem {
        at: SystemTime::UNIX_EPOCH,
        moment: None,
        reason: reason.into(),
    }
}

#[test]
fn a_state_is_loaded_when_it_has_lasted() {
    let (_dir, first) = found(&[("p.wasm", "1")]);
    let (_other, second) = found(&[("p.wasm", "22")]);
    let (mut slot, now) = (Slot::default(), Instant::now());
    assert_eq!(slot.look(&first, DIRECTORY, now), Step::Wait);
    assert_eq!(slot.look(&second, DIRECTORY, now + seconds(0.2)), Step::Wait, "it has changed");
    assert_eq!(slot.look(&second, DIRECTORY, now + seconds(0.4)), Step::Wait);
    assert_eq!(slot.look(&second, DIRECTORY, now + seconds(0.5)), Step::Load);
    slot.begin(second.clone());
    assert_eq!(slot.look(&first, DIRECTORY, now + seconds(9.0)), Step::Nothing, "it is being loaded");
    slot.loaded(None);
    assert_eq!(slot.look(&second, DIRECTORY, now + seconds(9.0)), Step::Nothing, "what failed is not tried again");
    assert_eq!(slot.look(&first, DIRECTORY, now + seconds(9.0)), Step::Wait);
    assert_eq!(slot.look(&second, DIRECTORY, now + seconds(9.1)), Step::Nothing);
    assert_eq!(slot.look(&first, DIRECTORY, now + seconds(9.8)), Step::Wait, "it was away meanwhile");
}

#[test]
fn the_beginning_of_a_slow_copy_of_a_manifest_is_not_loaded() {
    let (_dir, beginning) = found(&[("p.toml", "required = false\n"), ("p.wasm", "1")]);
    let (_other, whole) = found(&[("p.toml", "required = false\nenabled = true\n"), ("p.wasm", "1")]);
    assert!(beginning.manifest.is_ok(), "it is understood");
    let (mut slot, now) = (Slot::default(), Instant::now());
    assert_eq!(slot.look(&beginning, DIRECTORY, now), Step::Wait);
    assert_eq!(slot.look(&beginning, DIRECTORY, now + seconds(0.9)), Step::Wait);
    assert_eq!(slot.look(&whole, DIRECTORY, now + seconds(0.95)), Step::Wait);
    assert_eq!(slot.look(&whole, DIRECTORY, now + seconds(1.9)), Step::Wait);
    assert_eq!(slot.look(&whole, DIRECTORY, now + seconds(1.95)), Step::Load);
}

#[test]
fn what_was_written_long_ago_is_loaded_at_once() {
    let (dir, _) = found(&[("p.toml", ""), ("p.wasm", "1")]);
    let written = |name: &str, ago: f64| {
        let file = std::fs::File::options().write(true).open(dir.path().join(name)).expect("a file");
        file.set_modified(SystemTime::now() - seconds(ago)).expect("a time");
        Library::new(Some(dir.path())).look().expect("it can be read").remove("p").expect("it is defined")
    };
    let step = |found: &Found| Slot::default().look(found, DIRECTORY, Instant::now());
    assert_eq!(step(&written("p.wasm", 60.0)), Step::Wait);
    assert_eq!(step(&written("p.toml", 60.0)), Step::Load);
}

#[test]
fn a_manifest_that_is_away_for_a_moment_is_not_missed() {
    let (dir, whole) = found(&[("p.toml", ""), ("p.wasm", "1")]);
    std::fs::remove_file(dir.path().join("p.toml")).expect("it was there");
    let bare = Library::new(Some(dir.path())).look().expect("it can be read").remove("p").expect("it is defined");
    let (mut slot, now) = (running(&whole), Instant::now());
    assert_eq!(slot.look(&bare, DIRECTORY, now), Step::Wait);
    assert_eq!(slot.look(&whole, DIRECTORY, now + seconds(1.0)), Step::Nothing);
    assert_eq!(slot.look(&bare, DIRECTORY, now + seconds(2.5)), Step::Wait);
    assert_eq!(slot.look(&bare, DIRECTORY, now + seconds(4.5)), Step::Wait, "it has yet to settle");
    assert_eq!(slot.look(&bare, DIRECTORY, now + seconds(4.9)), Step::Load, "that is meant");
}

#[test]
fn a_component_that_is_missed_and_comes_back_leaves_nothing_wrong() {
    let (_dir, whole) = found(&[("p.toml", ""), ("p.wasm", "1")]);
    let gone = Found {
        source: Source::Missing("where is it?".into()),
        ..whole.clone()
    };
    let (mut slot, now) = (running(&whole), Instant::now());
    let before = Some(problem("something else"));
    assert_eq!(slot.look(&gone, DIRECTORY, now), Step::Keep("where is it?".into()));
    slot.keep(before.clone());
    assert_eq!(slot.look(&gone, DIRECTORY, now + seconds(9.0)), Step::Nothing, "that is told once");
    assert_eq!(slot.look(&whole, DIRECTORY, now + seconds(9.0)), Step::Return(before));
    assert_eq!(slot.look(&whole, DIRECTORY, now + seconds(9.0)), Step::Nothing);
    assert_eq!(slot.look(&gone, DIRECTORY, now + seconds(9.0)), Step::Keep("where is it?".into()), "and again when it goes again");
}

#[test]
fn what_is_gone_is_taken_out_when_it_stays_away() {
    let (_dir, whole) = found(&[("p.wasm", "1")]);
    let (mut slot, now) = (running(&whole), Instant::now());
    assert_eq!(slot.miss(NOTHING_LEFT, now), Step::Wait);
    assert_eq!(slot.look(&whole, DIRECTORY, now + seconds(1.9)), Step::Nothing);
    assert_eq!(slot.miss(NOTHING_LEFT, now + seconds(2.1)), Step::Wait, "it was there in between");
    assert_eq!(slot.miss(NOTHING_LEFT, now + seconds(4.1)), Step::TakeOut);
    assert_eq!(slot.end(), Some(Kind::Filter));
    assert_eq!(slot.miss(NOTHING_LEFT, now + seconds(9.0)), Step::Nothing, "it is being taken out");
}

#[test]
fn a_place_that_is_left_is_kept_until_it_is_switched_off() {
    let (mut slot, now) = (Slot::default(), Instant::now());
    assert_eq!(slot.miss(PLACE, now + seconds(99.0)), Step::Nothing);
    let (_dir, bad) = found(&[("p.toml", "colour = 1")]);
    slot.begin(bad);
    slot.loaded(None);
    assert_eq!(slot.miss(PLACE, now), Step::Wait, "what failed is taken out, too");
    assert_eq!(slot.miss(PLACE, now + seconds(2.0)), Step::TakeOut);
    slot = Slot::default();
    assert_eq!(slot.miss(Absence { meant: true, ..PLACE }, now), Step::TakeOut);
    assert_eq!(Slot::default().miss(NOTHING_LEFT, now), Step::Forget);
    assert_eq!(Slot::default().miss(Absence { meant: true, ..NOTHING_LEFT }, now), Step::Forget);
}

#[test]
fn switching_off_is_done_at_once() {
    let (_dir, whole) = found(&[("p.wasm", "1")]);
    let mut slot = running(&whole);
    assert_eq!(slot.miss(Absence { meant: true, ..PLACE }, Instant::now()), Step::TakeOut);
}

#[test]
fn what_another_directory_does_not_have_runs_on_for_longer() {
    let (_dir, whole) = found(&[("p.wasm", "1")]);
    let (mut slot, now) = (running(&whole), Instant::now());
    let (replaced, again) = (Absence { directory: 1, ..NOTHING_LEFT }, Absence { directory: 2, ..NOTHING_LEFT });
    assert_eq!(slot.look(&whole, DIRECTORY, now), Step::Nothing);
    assert_eq!(slot.miss(replaced, now), Step::Doubt);
    slot.overlook();
    assert_eq!(slot.miss(again, now + seconds(31.0)), Step::Doubt, "meanwhile nobody could see");
    assert_eq!(slot.miss(again, now + seconds(60.9)), Step::Doubt);
    assert_eq!(slot.miss(again, now + seconds(61.0)), Step::TakeOut);
    assert_eq!(slot.look(&whole, 2, now + seconds(61.0)), Step::Nothing, "it has been copied there");
    assert_eq!(slot.miss(again, now + seconds(62.0)), Step::Wait);
    assert_eq!(slot.miss(again, now + seconds(64.0)), Step::TakeOut, "now that is meant");
}

#[test]
fn a_chosen_plugin_keeps_the_terms_of_a_directory_that_is_missed() {
    let (_dir, own) = found(&[("p.toml", "component = \"json\"")]);
    let chosen = Found::bundled("json");
    let (mut slot, now) = (running(&own), Instant::now());
    assert_eq!(slot.look(&chosen, 1, now), Step::Doubt);
    assert_eq!(slot.look(&own, 1, now + seconds(29.0)), Step::Nothing);
    assert_eq!(slot.look(&chosen, 1, now + seconds(30.0)), Step::Wait, "this time it is that file alone");
    assert_eq!(slot.look(&chosen, 1, now + seconds(32.0)), Step::Load);
}
