//! Every target on its corpus and on mutations of it, from a seed: the same ones on every run.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fastrand::Rng;

use super::{TARGETS, Target};

/// Mutations of each corpus. libFuzzer makes better ones, and more.
const ROUNDS: u64 = 4_000;

/// Changes of one mutation, at most.
const CHANGES: usize = 6;

/// What decoders have stumbled over, here and elsewhere.
const WORDS: [&[u8]; 22] = [
    b"",
    b"\0",
    b"\r\n",
    b"\n",
    b"=",
    b"-1",
    b"0",
    b"1e400",
    b"NaN",
    b"-0.0",
    b"18446744073709551616",
    b"9223372036854775808",
    b"0000000000000000001",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"%00",
    b"%2e%2e%2f",
    b"null",
    b"*1\r\n",
    b"$-1\r\n",
    b"[[[[[[[[",
    b"\xe2\x80\xae",
];

fn folder(below: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz")).join(below)
}

/// What is kept for a target, by file name.
fn corpus(name: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder("corpus").join(name)).unwrap();
    entries.map(|entry| entry.unwrap()).map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Says what it was that broke a promise, when it did.
struct Tried<'a>(&'a str, &'a [u8]);

impl Drop for Tried<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} broke on: {}", self.0, self.1.escape_ascii());
        }
    }
}

fn attempt(name: &str, target: Target, data: &[u8]) {
    let _tried = Tried(name, data);
    target(data);
}

fn mutation(random: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let some = |random: &mut Rng| random.choice(corpus).cloned().unwrap_or_default();
    let range = |random: &mut Rng, length: usize| {
        let start = random.usize(0..=length);
        start..random.usize(start..=length.min(start + 64))
    };
    let mut bytes = some(random);
    for _ in 0..random.usize(1..=CHANGES) {
        let place = range(random, bytes.len());
        let new = match random.u8(0..6) {
            0 => vec![],
            1 => random.choice(WORDS).unwrap_or_default().to_vec(),
            2 => std::iter::repeat_with(|| random.u8(..)).take(place.len().min(8)).collect(),
            3 => bytes[range(random, bytes.len())].to_vec(),
            4 => bytes[place.clone()].repeat(2),
            _ => {
                let other = some(random);
                other[range(random, other.len())].to_vec()
            }
        };
        bytes.splice(place, new);
    }
    bytes
}

fn attack(name: &str) {
    let (name, target) = TARGETS.into_iter().find(|(own, _)| *own == name).unwrap();
    let corpus = corpus(name);
    assert!(corpus.len() >= 5, "{name} has {} files", corpus.len());
    corpus.values().for_each(|data| attempt(name, target, data));
    let corpus: Vec<Vec<u8>> = corpus.into_values().collect();
    for seed in 0..ROUNDS {
        let data = mutation(&mut Rng::with_seed(seed), &corpus);
        attempt(name, target, &data);
    }
}

#[test]
fn whatever_an_entry_is_it_decodes_in_one_way_or_is_refused() {
    attack("entry");
}

#[test]
fn whatever_a_client_of_the_listener_sends_it_is_answered_within_bounds() {
    attack("embedded");
}

#[test]
fn whatever_requests_are_they_are_read_the_same_way_in_pieces() {
    attack("requests");
}

#[test]
fn whatever_redis_replies_it_is_entries_or_nothing() {
    attack("replies");
}

#[test]
fn whatever_is_asked_over_http_is_understood_or_refused_in_few_words() {
    attack("query");
}

#[test]
fn whatever_a_plugin_s_toml_says_it_is_within_bounds_or_refused() {
    attack("plugin_toml");
}

#[test]
fn every_target_has_its_fuzzer_and_its_corpus() {
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let fuzzer = fs::read_to_string(folder("targets").join(name).with_extension("rs")).unwrap();
        assert!(fuzzer.contains(&format!("meshtrace::fuzz::{name}(data)")), "{fuzzer}");
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\"\n")), "{name}");
    }
    for (kind, extra) in [("targets", ".rs"), ("corpus", "")] {
        let names = fs::read_dir(folder(kind)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let unknown: Vec<String> = names.filter(|name| !TARGETS.iter().any(|(own, _)| format!("{own}{extra}") == *name)).collect();
        assert_eq!(unknown, [""; 0], "{kind}");
    }
}
