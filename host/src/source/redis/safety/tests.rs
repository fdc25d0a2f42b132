use super::*;

const MAX_LEN: u64 = 100_000;
const DAY: Duration = Duration::from_secs(86_400);

fn id(ms: u64) -> EntryId {
    EntryId { ms, seq: 0 }
}

/// A stream of `length` entries, one each millisecond, of which the last `behind` are not acknowledged.
fn stream(now_ms: u64, length: u64, behind: u64) -> View {
    View {
        now_ms,
        length,
        first: id(now_ms - length),
        last: id(now_ms),
        added: Some(now_ms),
        given: Some(now_ms),
        delivered: id(now_ms),
        lag: Some(0),
        pending: behind,
        oldest: (behind > 0).then(|| id(now_ms - behind)),
    }
}

/// After two looks a second apart.
fn safety(first: View, second: View) -> Option<RestartSafety> {
    let (mut safety, start) = (Safety::default(), Instant::now());
    safety.note(first, start, MAX_LEN, DAY);
    safety.note(second, start + Duration::from_secs(1), MAX_LEN, DAY)
}

#[test]
fn a_stream_that_is_cut_waits_as_long_as_what_lies_before_the_oldest_takes_to_go() {
    let safety = safety(stream(1_000_000, 50_000, 10_000), stream(1_001_000, 50_000, 10_000)).expect("something waits");
    assert_eq!(safety.entries, Some(40_000));
    assert_eq!(safety.time, Some(Duration::from_secs(40)), "a thousand come each second");
    assert_eq!((safety.oldest_age, safety.retention), (Duration::from_secs(10), Some(DAY - Duration::from_secs(10))));
}

#[test]
fn a_stream_that_still_grows_has_what_is_left_until_it_is_cut_besides() {
    let safety = safety(
        stream(1_000_000, 50_000, 10_000),
        View {
            first: id(950_000),
            ..stream(1_001_000, 51_000, 10_000)
        },
    );
    assert_eq!(safety.and_then(|safety| safety.entries), Some(49_000 + 41_000));
}

#[test]
fn of_a_stream_that_nobody_cuts_nothing_is_foretold() {
    let long = |now_ms, length| View {
        first: id(1),
        ..stream(now_ms, length, 10)
    };
    let safety = safety(long(1_000_000, 500_000), long(1_001_000, 501_000)).expect("something waits");
    assert_eq!((safety.entries, safety.time), (None, None));
}

#[test]
fn what_is_gone_already_has_no_time_left() {
    let gone = |now_ms| View {
        oldest: Some(id(7)),
        ..stream(now_ms, 50_000, 49_999)
    };
    let safety = safety(gone(1_000_000), gone(1_001_000)).expect("something waits");
    assert_eq!((safety.entries, safety.time), (Some(0), Some(Duration::ZERO)));
}

#[test]
fn when_all_is_acknowledged_nothing_can_be_lost() {
    assert_eq!(safety(stream(1_000_000, 50_000, 10), stream(1_001_000, 50_000, 0)), None);
}

#[test]
fn a_burst_is_remembered_for_a_while() {
    let (mut safety, start) = (Safety::default(), Instant::now());
    let mut seconds = Vec::new();
    for (second, added) in [(0u64, 0u64), (1, 1_000), (2, 1_000), (3, 1_000)] {
        let view = View {
            added: Some(added),
            ..stream(1_000_000, 50_000, 10_000)
        };
        let noted = safety.note(view, start + Duration::from_secs(second), 50_000, DAY);
        seconds.push(noted.and_then(|safety| safety.time).map(|time| time.as_secs()));
    }
    assert_eq!(seconds, [None, Some(40), Some(44), Some(49)]);
}

#[test]
fn reading_stands_still_when_something_waits_and_nothing_is_read_also_before_what_is_new() {
    use SourceState::{Recovering, Running, StandingBy};
    let start = Instant::now();
    let at = |state, lag, pending| {
        let mut safety = Safety::default();
        let view = View { lag, pending, ..View::default() };
        let looks = [(0, 7), (5_000, 7), (5_010, 7), (10_000, 7), (15_000, 8), (20_000, 8)];
        looks.map(|(at_ms, read)| safety.stands_still(state, view, read, start + Duration::from_millis(at_ms)))
    };
    let (still, goes_on) = ([false, false, false, true, false, false], [false; 6]);
    assert_eq!([at(Running, Some(3), 0), at(Running, None, 0), at(Running, Some(0), 5)], [still, still, goes_on]);
    assert_eq!([at(Recovering, Some(0), 5), at(Recovering, None, 0), at(StandingBy, Some(3), 5)], [still, goes_on, goes_on]);
}

#[test]
fn the_same_is_told_once_a_minute() {
    let (mut told, start) = (None, Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!([0, 5, 59, 60, 65].map(|seconds| due(&mut told, at(seconds))), [true, false, false, true, false]);
}
