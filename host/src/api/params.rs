//! Query parameters: each known, given once, and what it may be. Anything else is refused, so that a misspelt filter does
//! not look like an answer.

use axum::extract::Query;
use axum::http::Uri;
use jiff::Timestamp;

use super::reply::Failure;

/// The most traces in one answer.
const MAX_LIMIT: usize = 100;

/// Traces in one answer when the request does not say.
const DEFAULT_LIMIT: usize = 20;

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The parameters in `uri`.
    ///
    /// # Errors
    /// When one is not among `known`, or comes twice.
    pub(super) fn read(uri: &Uri, known: &[&str]) -> Result<Params, Failure> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| Failure::BadParameter {
            error: "bad query",
            parameter: String::new(),
            given: uri.query().unwrap_or_default().to_owned(),
            expected: "name=value pairs, percent-encoded".to_owned(),
        })?;
        for (at, (name, value)) in pairs.iter().enumerate() {
            let refused = |error, expected| Err(bad(error, name, value, expected));
            if !known.contains(&name.as_str()) {
                return refused("unknown parameter", format!("one of {}", known.join(", ")));
            }
            if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return refused("parameter given twice", format!("{name} once"));
            }
        }
        Ok(Params(pairs))
    }

    /// A value as it came.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn parsed<T>(&self, name: &str, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Failure> {
        let refused = |value| bad("bad parameter", name, value, expected.to_owned());
        self.get(name).map(|value| parse(value).ok_or_else(|| refused(value))).transpose()
    }

    /// `limit`: 1 to 100, 20 if not given; more than 100 is taken as 100.
    pub(super) fn limit(&self) -> Result<usize, Failure> {
        let parse = |text: &str| whole(text).filter(|limit| *limit > 0);
        let limit = self.parsed("limit", "an integer above 0; more than 100 counts as 100", parse)?;
        Ok(limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT)))
    }

    /// `offset`: 0 if not given.
    pub(super) fn offset(&self) -> Result<usize, Failure> {
        let offset = self.parsed("offset", "an integer, 0 or more", whole)?;
        Ok(offset.map_or(0, |offset| usize::try_from(offset).unwrap_or(usize::MAX)))
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.parsed(name, "a text that is not empty", |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.parsed(name, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    /// Milliseconds.
    pub(super) fn millis(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.parsed(name, "an integer, 0 or more (milliseconds)", whole)
    }

    /// An RFC 3339 time, in nanoseconds since 1970.
    pub(super) fn time(&self, name: &str) -> Result<Option<i128>, Failure> {
        self.parsed(name, "an RFC 3339 time such as 2024-01-01T00:00:00Z", |text| {
            // A `+` that was not percent-encoded arrives as a space: `10:00:00+02:00` as `10:00:00 02:00`.
            let text = match text.rsplit_once(' ') {
                Some((time, offset)) if time.contains(['T', 't']) => format!("{time}+{offset}"),
                _ => text.to_owned(),
            };
            text.parse::<Timestamp>().ok().map(Timestamp::as_nanosecond)
        })
    }
}

/// A whole number without a sign; one that is too large for the type is as large as it gets.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn bad(error: &'static str, parameter: &str, given: &str, expected: String) -> Failure {
    Failure::BadParameter {
        error,
        parameter: parameter.to_owned(),
        given: given.to_owned(),
        expected,
    }
}
