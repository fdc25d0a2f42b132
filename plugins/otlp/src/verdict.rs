//! What an answer means, by the rules of OTLP.

use std::time::SystemTime;

use meshtrace_plugin::text::sanitize;

use crate::http::Answer;
use crate::wire::{self, PartialSuccess};

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken, but for spans that the collector will never take: they are not sent again.
    Taken(PartialSuccess),
    /// It may be sent again after this many milliseconds, 0: whenever.
    Retry(u32, String),
    /// It may be sent again in parts.
    TooLarge(String),
    /// It must not be sent again.
    Rejected(String),
}

/// The longest pause that a collector can ask for, in milliseconds.
const MAX_PAUSE_MS: u64 = 3_600_000;
/// Bytes of what a collector says that are told on.
const MAX_MESSAGE_BYTES: usize = 300;

/// Reads an answer; `now` is what a date in `Retry-After` is measured from.
#[must_use]
pub fn judge(answer: &Answer, now: SystemTime) -> Verdict {
    let status = answer.status;
    if (200..300).contains(&status) {
        // A collector that answers in another form than it was asked in says nothing that we need.
        return Verdict::Taken(if is(answer, "protobuf") { wire::partial_success(&answer.body) } else { PartialSuccess::default() });
    }
    let said = message(answer).map(|said| format!(": {}", sanitize(&said, MAX_MESSAGE_BYTES))).unwrap_or_default();
    let reason = format!("the collector answered {status}{said}");
    match status {
        429 | 502 | 503 | 504 => Verdict::Retry(pause_ms(answer.retry_after.as_deref(), now), reason),
        413 => Verdict::TooLarge(reason),
        300..400 => Verdict::Rejected(format!("{reason}; redirects are not followed, so set the endpoint to where it leads")),
        _ => Verdict::Rejected(reason),
    }
}

fn is(answer: &Answer, kind: &str) -> bool {
    answer.content_type.to_ascii_lowercase().contains(kind)
}

/// What the collector says in the body: a `google.rpc.Status`, or what a proxy in between wrote.
fn message(answer: &Answer) -> Option<String> {
    if is(answer, "protobuf") {
        return wire::status_message(&answer.body).map(str::to_owned);
    }
    if is(answer, "json") {
        let status: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        return status.get("message")?.as_str().map(str::to_owned);
    }
    let text = str::from_utf8(&answer.body).ok().filter(|_| is(answer, "text/plain"))?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// `Retry-After` in milliseconds, 0 when it does not say.
fn pause_ms(retry_after: Option<&str>, now: SystemTime) -> u32 {
    let pause_ms = |text: &str| {
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(seconds.saturating_mul(1_000));
        }
        let until = httpdate::parse_http_date(text).ok()?;
        u64::try_from(until.duration_since(now).ok()?.as_millis()).ok()
    };
    let ms = retry_after.and_then(|text| pause_ms(text.trim())).unwrap_or(0);
    ms.min(MAX_PAUSE_MS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn answer(status: u16, content_type: &str, body: &[u8]) -> Answer {
        Answer {
            status,
            content_type: content_type.to_owned(),
            body: body.to_owned(),
            ..Answer::default()
        }
    }

    fn judged(answer: &Answer) -> Verdict {
        judge(answer, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn only_what_the_specification_names_is_sent_again() {
        for status in (100..600).filter(|status| !(200..300).contains(status)) {
            let reason = format!("the collector answered {status}");
            let expected = match status {
                429 | 502 | 503 | 504 => Verdict::Retry(0, reason),
                413 => Verdict::TooLarge(reason),
                300..400 => Verdict::Rejected(reason + "; redirects are not followed, so set the endpoint to where it leads"),
                _ => Verdict::Rejected(reason),
            };
            assert_eq!(judged(&answer(status, "", b"")), expected);
        }
    }

    #[test]
    fn a_taken_request_stays_taken_whatever_is_said_about_it() {
        let partial = [0x0a, 6, 0x08, 2, 0x12, 2, b'n', b'o'];
        let expected = PartialSuccess { rejected_spans: 2, message: "no".into() };
        assert_eq!(judged(&answer(200, "application/x-protobuf", &partial)), Verdict::Taken(expected));
        for (content_type, body) in [("application/json", &partial[..]), ("application/x-protobuf", b"\xff\xff"), ("", b"")] {
            assert_eq!(judged(&answer(202, content_type, body)), Verdict::Taken(PartialSuccess::default()));
        }
    }

    #[test]
    fn what_the_collector_says_is_told_on() {
        let cases: [(&str, &[u8], &str); 6] = [
            ("application/x-protobuf", b"\x08\x03\x12\x08bad span", ": bad span"),
            ("application/json; charset=utf-8", br#"{"code":3,"message":"bad\nspan"}"#, ": bad\\nspan"),
            ("text/plain", b" upstream is gone\n", ": upstream is gone"),
            ("text/html", b"<html>no</html>", ""),
            ("application/json", b"{", ""),
            ("text/plain", b"\xff", ""),
        ];
        for (content_type, body, said) in cases {
            assert_eq!(judged(&answer(400, content_type, body)), Verdict::Rejected(format!("the collector answered 400{said}")));
        }
        let long = judged(&answer(400, "text/plain", &[b'x'; 1_000]));
        assert!(matches!(long, Verdict::Rejected(reason) if reason.len() < 350 && reason.ends_with("…(+700 bytes)")));
    }

    #[test]
    fn the_pause_asked_for_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let cases = [
            (Some("2"), 2_000),
            (Some(" 120 "), 120_000),
            (Some("99999999999999999999"), 0),
            (Some("18446744073709551615"), 3_600_000),
            (Some("Sun, 06 Nov 1994 08:49:47 GMT"), 10_000),
            (Some("Sunday, 06-Nov-94 08:49:38 GMT"), 1_000),
            (Some("Sun, 06 Nov 1994 08:49:36 GMT"), 0),
            (Some("soon"), 0),
            (Some("-1"), 0),
            (None, 0),
        ];
        for (text, ms) in cases {
            assert_eq!(pause_ms(text, now + Duration::ZERO), ms, "{text:?}");
        }
    }
}
