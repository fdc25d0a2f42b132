//! Entries that publishers trimmed before anybody had read them.
//!
//! Redis counts the entries that were ever added, and those that the group was given. While the stream's first entry lies beyond the last one that was given,
//! all that it holds is unread; so what was added, was not given and is not there either is gone.
//!
//! Before Redis 7.2 what is gone is never counted as given, also when the group is far beyond it. So how much the two numbers differ for nothing is looked at
//! whenever everything has been given.

use super::View;

/// What a look has found to be gone since the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// Nothing that is known of.
    Nothing,
    /// So many entries.
    Entries(u64),
    /// Some, and the server does not say how many.
    Unknown,
}

/// Remembers from one look to the next. What was gone before the first look is not counted: a group may begin behind it.
#[derive(Debug, Default)]
pub(super) struct Unread {
    previous: Option<View>,
    /// So much more was added than given, for nothing.
    excess: u64,
    /// Gone, and told, since everything was given.
    told: u64,
}

impl Unread {
    /// What is gone since the last look.
    pub fn look(&mut self, view: &View) -> Gone {
        let previous = self.previous.replace(*view);
        // Another stream, or a group that was made again.
        let same = previous.filter(|previous| previous.last <= view.last && previous.delivered <= view.delivered);
        let all_unread = view.length == 0 || view.first > view.delivered;
        let (Some(added), Some(given)) = (view.added, view.given) else {
            return if same.is_some_and(|previous| is_gone(&previous, view)) { Gone::Unknown } else { Gone::Nothing };
        };
        let ahead = added.saturating_sub(given);
        let counted = previous.is_some_and(|previous| previous.added.is_some() && previous.given.is_some());
        if same.is_none() || !counted || view.delivered >= view.last {
            // More is not there than is there.
            let there = if view.delivered >= view.last { 0 } else { view.length };
            (self.excess, self.told) = (ahead.saturating_sub(there), 0);
            return if same.is_some_and(|previous| is_gone(&previous, view)) { Gone::Unknown } else { Gone::Nothing };
        }
        let beyond = ahead.saturating_sub(self.excess);
        if !all_unread {
            // A server that counts what is gone as given has done so by now.
            self.told = self.told.min(beyond);
            return Gone::Nothing;
        }
        let gone = beyond.saturating_sub(view.length);
        let news = gone.saturating_sub(self.told);
        self.told = self.told.max(gone);
        if news > 0 { Gone::Entries(news) } else { Gone::Nothing }
    }
}

/// Whether an entry that had been seen is gone, and was not given.
fn is_gone(previous: &View, now: &View) -> bool {
    [previous.first, previous.last].iter().any(|seen| previous.length > 0 && *seen > now.delivered && *seen < now.first)
}

#[cfg(test)]
mod tests {
    use super::super::EntryId;
    use super::*;

    /// Entry number n has the id n-0; of `added` ones the last `length` are there, and the group was given all up to `delivered`.
    fn view(added: u64, length: u64, delivered: u64, given: Option<u64>) -> View {
        let id = |ms| EntryId { ms, seq: 0 };
        View {
            length,
            first: id(added - length + 1),
            last: id(added),
            added: Some(added),
            given,
            delivered: id(delivered),
            ..View::default()
        }
    }

    fn looks(views: &[View]) -> Vec<Gone> {
        let mut unread = Unread::default();
        views.iter().map(|view| unread.look(view)).collect()
    }

    use Gone::{Entries, Nothing, Unknown};

    #[test]
    fn what_goes_unread_is_counted_as_it_goes() {
        let views = [
            view(100, 100, 100, Some(100)),
            view(1_100, 1_000, 100, Some(100)),
            view(5_000, 1_000, 100, Some(100)),
            view(5_000, 1_000, 100, Some(100)),
        ];
        assert_eq!(looks(&views), [Nothing, Nothing, Entries(3_900), Nothing]);
    }

    #[test]
    fn a_stream_that_is_cut_behind_the_reader_has_lost_nothing() {
        let views =
            [view(100, 10, 100, Some(100)), view(110, 10, 100, Some(100)), view(120, 10, 115, Some(115)), view(125, 10, 115, Some(115))];
        assert_eq!(looks(&views), [Nothing; 4]);
    }

    #[test]
    fn a_second_time_is_counted_whether_or_not_the_server_counts_what_is_gone_as_given() {
        for (counts_gone, caught_up) in [(false, true), (true, true), (false, false), (true, false)] {
            // 900 are gone, then 50 of what is there are read, or all of it; then 300 more go.
            let given = |delivered: u64| Some(if counts_gone || delivered <= 100 { delivered } else { delivered - 900 });
            let read = if caught_up { 1_100 } else { 1_050 };
            let views = [
                view(100, 100, 100, given(100)),
                view(1_100, 100, 100, given(100)),
                view(1_100, 100, read, given(read)),
                view(read + 400, 100, read, given(read)),
            ];
            let second = if counts_gone && !caught_up { Entries(250) } else { Entries(300) };
            assert_eq!(looks(&views), [Nothing, Entries(900), Nothing, second]);
        }
    }

    #[test]
    fn what_was_gone_before_the_first_look_or_is_another_stream_is_not_counted() {
        assert_eq!(looks(&[view(5_000, 100, 0, Some(0)), view(5_010, 100, 0, Some(0))]), [Nothing, Entries(10)]);
        assert_eq!(looks(&[view(5_000, 100, 5_000, Some(5_000)), view(900, 100, 10, Some(10))]), [Nothing; 2]);
    }

    #[test]
    fn a_server_that_does_not_count_still_tells_that_something_is_gone() {
        let uncounted = |added, length, delivered| view(added, length, delivered, None);
        let views = [
            uncounted(100, 100, 100),
            uncounted(200, 50, 100),
            uncounted(300, 50, 100),
            uncounted(310, 60, 100),
            uncounted(310, 60, 310),
            uncounted(500, 10, 310),
        ];
        assert_eq!(looks(&views), [Nothing, Nothing, Unknown, Nothing, Nothing, Nothing]);
    }
}
