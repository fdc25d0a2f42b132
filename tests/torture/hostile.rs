//! Entries that nobody in his right mind publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use redis::{Connection, RedisResult};

use super::chance::Chance;
use crate::support::redis_server::STREAM;

/// The fields of an entry, of any bytes.
pub type Bytes = Vec<(Vec<u8>, Vec<u8>)>;

/// What an attack may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    /// Keys and values of any bytes, with or without ids.
    Noise,
    /// A value of hundreds of kilobytes, or too many of them.
    HugeValue,
    ManyFields,
    /// More spans than a trace may have, also where nobody has set how many.
    WideTrace,
    /// Many traces of one span.
    Crowd,
    Cycle,
    SelfParent,
    /// One span, told in ten ways.
    Contradictions,
    OddTimes,
    OddIds,
    UnknownEvent,
    /// Begins and never ends.
    NeverEnds,
    /// Parts of one trace that never falls quiet.
    ConstantId,
}

const WIDE: u64 = 10_001;

const ATTACKS: [(u64, Attack); 13] = [
    (200, Attack::Noise),
    (20, Attack::HugeValue),
    (20, Attack::ManyFields),
    (3, Attack::WideTrace),
    (50, Attack::Crowd),
    (100, Attack::Cycle),
    (100, Attack::SelfParent),
    (100, Attack::Contradictions),
    (150, Attack::OddTimes),
    (100, Attack::OddIds),
    (50, Attack::UnknownEvent),
    (50, Attack::NeverEnds),
    (50, Attack::ConstantId),
];

/// Times as nobody measures them.
const TIMES: [&str; 16] = [
    "0",
    "-1",
    "NaN",
    "-inf",
    "inf",
    "1e400",
    "1e-400",
    "4102444800",
    "253402300800",
    "9223372036854775807",
    "18446744073709551616",
    "",
    "null",
    "1795221702,5",
    "0x10",
    "1795221702.123456789123456789",
];

/// The entries of one attack, and how many they are: bursts for some, one for most.
pub fn attack(chance: &mut Chance) -> Vec<Bytes> {
    let trace = format!("hostile-{:016x}", chance.next());
    let attack = *chance.weighted(&ATTACKS);
    match attack {
        Attack::Noise => vec![noise(chance)],
        Attack::HugeValue => vec![with(&trace, "a", None, &[(b"payload", &vec![b'x'; chance.within(100_000..1_500_000) as usize])])],
        Attack::ManyFields => vec![many_fields(&trace, chance)],
        Attack::WideTrace => (0..WIDE).map(|number| with(&trace, &number.to_string(), Some("0"), &[])).collect(),
        Attack::Crowd => (0..500).map(|number| with(&format!("{trace}-{number}"), "a", None, &[])).collect(),
        Attack::Cycle => vec![with(&trace, "a", Some("c"), &[]), with(&trace, "b", Some("a"), &[]), with(&trace, "c", Some("b"), &[])],
        Attack::SelfParent => vec![with(&trace, "a", Some("a"), &[])],
        Attack::Contradictions => (0..10).map(|_| contradiction(&trace, chance)).collect(),
        Attack::OddTimes => vec![odd_times(&trace, chance)],
        Attack::OddIds => vec![odd_ids(chance)],
        Attack::UnknownEvent => {
            vec![with(&trace, "a", None, &[(b"event_type", &chance.bytes(30)), (b"start_time", b""), (b"end_time", b"")])]
        }
        Attack::NeverEnds => vec![with(&trace, "a", None, &[(b"event_type", b"span_start")])],
        Attack::ConstantId => vec![with("abc123", &chance.next().to_string(), None, &[])],
    }
}

/// An entry of fifty megabytes.
pub fn monster() -> Bytes {
    with("hostile-monster", "a", None, &[(b"payload", &vec![b'x'; 50 * 1024 * 1024])])
}

fn with(trace: &str, span: &str, parent: Option<&str>, changes: &[(&[u8], &[u8])]) -> Bytes {
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b"trace_id", trace.as_bytes()),
        (b"span_id", span.as_bytes()),
        (b"function_name", b"work"),
        (b"agent_name", b"hostile"),
        (b"start_time", b"1795221702.5"),
        (b"end_time", b"1795221702.75"),
    ];
    fields.extend(parent.map(|parent| (&b"parent_span"[..], parent.as_bytes())));
    fields.retain(|(key, _)| changes.iter().all(|(own, _)| own != key));
    fields.iter().chain(changes).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn noise(chance: &mut Chance) -> Bytes {
    let some = |chance: &mut Chance| {
        let size = chance.within(0..200) as usize;
        chance.bytes(size)
    };
    let mut fields: Bytes = (0..chance.within(1..20)).map(|_| (some(chance), some(chance))).collect();
    for key in ["trace_id", "span_id", "parent_span", "event_type", "agent_name", "duration_ms", "dependencies", "meshtrace:retry"] {
        if chance.percent(40) {
            fields.push((key.into(), some(chance)));
        }
    }
    fields
}

fn many_fields(trace: &str, chance: &mut Chance) -> Bytes {
    let mut fields = with(trace, "a", None, &[]);
    let value = chance.next().to_string().into_bytes();
    fields.extend((0..chance.within(500..2_000)).map(|number| (format!("field-{number}").into_bytes(), value.clone())));
    fields
}

fn contradiction(trace: &str, chance: &mut Chance) -> Bytes {
    let (name, time) = (chance.bytes(8), *chance.one_of(&TIMES));
    let parent = chance.within(0..3).to_string();
    let success: &[u8] = if chance.percent(50) { b"True" } else { b"False" };
    with(trace, "1", Some(&parent), &[(b"function_name", &name), (b"end_time", time.as_bytes()), (b"success", success)])
}

fn odd_times(trace: &str, chance: &mut Chance) -> Bytes {
    let mut time = || chance.one_of(&TIMES).as_bytes();
    let (start, end, took) = (time(), time(), time());
    with(trace, "a", None, &[(b"start_time", start), (b"end_time", end), (b"duration_ms", took)])
}

fn odd_ids(chance: &mut Chance) -> Bytes {
    let sizes = [1, 1, 3, 32, 256, 257, 10_000, 1024 * 1024];
    let size = *chance.one_of(&sizes);
    let id = if chance.percent(50) { chance.bytes(size) } else { vec![b'x'; size] };
    let mut fields = with("", "a", None, &[]);
    let at = chance.within(0..2) as usize;
    fields[at].1 = id;
    fields[1 - at].1 = format!("{}", chance.next()).into_bytes();
    fields
}

/// Publishes these; those that Redis does not take are no attack.
pub fn publish(connection: &mut Connection, entries: &[Bytes]) -> RedisResult<()> {
    for chunk in entries.chunks(200) {
        let mut pipeline = redis::pipe();
        for fields in chunk {
            let add = pipeline.cmd("XADD").arg(STREAM).arg("*");
            for (key, value) in fields {
                add.arg(key).arg(value);
            }
            add.ignore();
        }
        pipeline.exec(connection)?;
    }
    Ok(())
}

/// Publishes this one; its id.
pub fn publish_one(connection: &mut Connection, fields: &Bytes) -> RedisResult<String> {
    let mut add = redis::cmd("XADD");
    add.arg(STREAM).arg("*");
    for (key, value) in fields {
        add.arg(key).arg(value);
    }
    add.query(connection)
}

/// Attacks in the background.
pub struct Attacker {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Attacker {
    /// Attacks whichever Redis is on the port that `redis` says, some times a second, and once with a monster.
    pub fn start(redis: Arc<AtomicU16>, mut chance: Chance) -> Attacker {
        let (stop, published) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&published));
        let work = move || {
            let mut monsters = vec![monster()];
            while !stopped.load(Ordering::Relaxed) {
                let entries = if chance.percent(1) { monsters.pop().map(|one| vec![one]) } else { None };
                let entries = entries.unwrap_or_else(|| attack(&mut chance));
                let url = format!("redis://127.0.0.1:{}/", redis.load(Ordering::Relaxed));
                let connected = redis::Client::open(url).and_then(|client| client.get_connection_with_timeout(Duration::from_secs(2)));
                let sent = connected.and_then(|mut connection| {
                    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
                    publish(&mut connection, &entries)
                });
                if sent.is_ok() {
                    counter.fetch_add(entries.len() as u64, Ordering::Relaxed);
                }
                std::thread::sleep(chance.millis(50..400));
            }
        };
        let thread = std::thread::Builder::new().name("attacker".into()).spawn(work).expect("a thread");
        Attacker { stop, published, thread }
    }

    /// Ends it; how many entries Redis took.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the attacker did not fail");
        self.published.load(Ordering::Relaxed)
    }
}
