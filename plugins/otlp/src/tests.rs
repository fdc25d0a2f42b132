//! Batches against a collector that answers what a test tells it to.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Read;
use std::rc::Rc;

use flate2::read::GzDecoder;
use meshtrace_plugin::testing::{TestSpan, TestTrace, batch};

use super::*;

/// What was sent: headers, and the body as it was before compression.
type Seen = Rc<RefCell<Vec<(Vec<(String, String)>, Vec<u8>)>>>;
/// What a collector does about a request of these bytes.
type Reaction = Box<dyn FnMut(&[u8]) -> Result<Answer, Failure>>;

struct Collector {
    seen: Seen,
    reaction: Reaction,
}

impl Transport for Collector {
    fn post(&mut self, request: &Request<'_>, _within: Duration) -> Result<Answer, Failure> {
        let headers: Vec<_> =
            request.headers.iter().map(|(name, value)| (name.clone(), String::from_utf8(value.clone()).unwrap())).collect();
        let gzipped = headers.contains(&("content-encoding".to_owned(), "gzip".to_owned()));
        let mut body = request.body.to_owned();
        if gzipped {
            body.clear();
            GzDecoder::new(request.body).read_to_end(&mut body).unwrap();
        }
        let answer = (self.reaction)(&body);
        self.seen.borrow_mut().push((headers, body));
        answer
    }
}

/// An exporter, and what its collector sees.
fn exporter(config: &str, reaction: impl FnMut(&[u8]) -> Result<Answer, Failure> + 'static) -> (Otlp, Seen) {
    let seen = Seen::default();
    let collector = Collector {
        seen: Rc::clone(&seen),
        reaction: Box::new(reaction),
    };
    let otlp = Otlp::new(&Config::parse(config).unwrap(), Some("authorization=Bearer%20s3cret-token"), Box::new(collector)).unwrap();
    (otlp, seen)
}

/// The same with answers in this order, 200 when there are no more.
fn answering(config: &str, answers: Vec<Result<Answer, Failure>>) -> (Otlp, Seen) {
    let mut answers = VecDeque::from(answers);
    exporter(config, move |_| answers.pop_front().unwrap_or_else(|| Ok(status(200))))
}

fn status(status: u16) -> Answer {
    Answer { status, ..Answer::default() }
}

/// A batch whose rows are encoded as these texts.
fn traces(texts: &[&str]) -> Batch {
    let trace = |text: &&str| TestTrace {
        id: (*text).into(),
        otlp: text.as_bytes().to_vec(),
        spans: vec![TestSpan::default()],
        ..TestTrace::default()
    };
    batch(&texts.iter().map(trace).collect::<Vec<_>>())
}

fn bodies(seen: &Seen) -> Vec<String> {
    seen.borrow().iter().map(|(_, body)| String::from_utf8(body.clone()).unwrap()).collect()
}

const WHERE: &str = "http://localhost:4318/v1/traces";

#[test]
fn a_batch_is_one_request() {
    for (config, encoding) in [("{}", Some("gzip")), (r#"{"compression":"none"}"#, None)] {
        let (mut otlp, seen) = answering(config, vec![]);
        assert_eq!(otlp.export(&traces(&["a", "b", "c"])), Outcome::Delivered);
        assert_eq!(bodies(&seen), ["abc"]);
        let (headers, _) = seen.borrow()[0].clone();
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        assert_eq!(header("content-type").as_deref(), Some("application/x-protobuf"));
        assert_eq!(header("authorization").as_deref(), Some("Bearer s3cret-token"));
        assert_eq!(header("content-encoding").as_deref(), encoding);
        assert_eq!(header("user-agent").unwrap(), format!("meshtrace-otlp/{}", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_user_agent_of_ones_own_replaces_ours() {
    let (mut otlp, seen) = answering(r#"{"headers":{"User-Agent":"mine"}}"#, vec![]);
    assert_eq!(otlp.export(&traces(&["a"])), Outcome::Delivered);
    let agents: Vec<_> = seen.borrow()[0].0.iter().filter(|(name, _)| name == "user-agent").cloned().collect();
    assert_eq!(agents, [("user-agent".to_owned(), "mine".to_owned())]);
}

#[test]
fn what_may_come_back_is_asked_for_again() {
    let busy = Answer {
        retry_after: Some("3".into()),
        ..status(503)
    };
    let (mut otlp, seen) = answering("{}", vec![Ok(busy), Err(Failure::Broken("the connection was closed".into())), Ok(status(429))]);
    let batch = traces(&["a", "b"]);
    let outcomes: Vec<Outcome> = (0..4).map(|_| otlp.export(&batch)).collect();
    assert_eq!(outcomes, [Outcome::Retry(3_000), Outcome::Retry(0), Outcome::Retry(0), Outcome::Delivered]);
    assert_eq!(bodies(&seen), ["ab"; 4], "the same each time");
}

#[test]
fn a_final_refusal_says_why_and_hides_the_token() {
    let refusal = Answer {
        content_type: "text/plain".into(),
        body: b"s3cret-token is no token".to_vec(),
        ..status(401)
    };
    let (mut otlp, _) = answering("{}", vec![Ok(refusal)]);
    let reason = format!("{WHERE}: the collector answered 401: *** is no token");
    let expected = (0..2).map(|row| RowOutcome::reject(row, reason.clone())).collect();
    assert_eq!(otlp.export(&traces(&["a", "b"])), Outcome::Partial(expected));
}

#[test]
fn a_large_batch_is_cut_between_traces() {
    let (mut otlp, seen) = answering(r#"{"max_request_bytes":4}"#, vec![]);
    assert_eq!(otlp.export(&traces(&["aa", "b", "cccccc", "d", "ee"])), Outcome::Delivered);
    assert_eq!(bodies(&seen), ["aab", "cccccc", "dee"], "in order, and one trace is never split");
}

#[test]
fn of_several_requests_each_has_its_own_fate() {
    let busy = Answer {
        retry_after: Some("1".into()),
        ..status(502)
    };
    let (mut otlp, seen) = answering(r#"{"max_request_bytes":1}"#, vec![Ok(status(200)), Ok(status(400)), Ok(busy)]);
    let refused = RowOutcome::reject(1, format!("{WHERE}: the collector answered 400"));
    let waits = (2..5).map(|row| RowOutcome::retry(row, 1_000, format!("{WHERE}: the collector answered 502")));
    let expected = std::iter::once(refused).chain(waits).collect();
    assert_eq!(otlp.export(&traces(&["a", "b", "c", "d", "e"])), Outcome::Partial(expected));
    assert_eq!(bodies(&seen), ["a", "b", "c"], "what follows a pause is not tried");
}

#[test]
fn what_is_too_large_is_sent_in_halves_and_one_trace_that_is_too_large_is_refused() {
    for answer in [Ok(status(413)), Err(Failure::TooLarge)] {
        let told = if answer.is_ok() { "the collector answered 413" } else { "the limit http-request-bytes of this plugin" };
        let (mut otlp, seen) = exporter("{}", move |body| if body.len() > 3 { answer.clone() } else { Ok(status(200)) });
        let reason = format!("{WHERE}: {told} (this one trace has 5 bytes, uncompressed)");
        assert_eq!(otlp.export(&traces(&["a", "b", "ccccc", "d"])), Outcome::Partial(vec![RowOutcome::reject(2, reason)]));
        assert_eq!(bodies(&seen), ["abcccccd", "ab", "cccccd", "ccccc", "d"]);
    }
}

#[test]
fn a_size_that_was_too_large_is_not_tried_again() {
    let text = "x".repeat(LEAST_REQUEST_BYTES);
    let (mut otlp, seen) = exporter("{}", |body| if body.len() > 3 * LEAST_REQUEST_BYTES { Ok(status(413)) } else { Ok(status(200)) });
    let batch = traces(&[text.as_str(); 8]);
    for _ in 0..2 {
        assert_eq!(otlp.export(&batch), Outcome::Delivered);
    }
    let sizes: Vec<usize> = seen.borrow().iter().map(|(_, body)| body.len() / LEAST_REQUEST_BYTES).collect();
    assert_eq!(sizes, [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]);
}

#[test]
fn a_partial_success_is_taken_and_counted() {
    let partial = Answer {
        content_type: "application/x-protobuf".into(),
        body: vec![0x0a, 6, 0x08, 2, 0x12, 2, b'n', b'o'],
        ..status(200)
    };
    let (mut otlp, _) = answering(r#"{"max_request_bytes":1}"#, vec![Ok(partial.clone()), Ok(partial)]);
    let sent = otlp.send_all(&traces(&["a", "b", "c"]));
    assert_eq!((sent.left, sent.rejected.rejected_spans, sent.rejected.message.as_str()), (vec![], 4, "no"));
}

#[test]
fn a_batch_whose_time_is_over_goes_on_with_the_next_call() {
    let (mut otlp, seen) = exporter(r#"{"max_request_bytes":1,"timeout_ms":1}"#, |_| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(status(200))
    });
    let Outcome::Partial(left) = otlp.export(&traces(&["a", "b", "c"])) else { panic!("one request was taken") };
    assert_eq!(left.iter().map(|row| (row.trace, row.retry_after_ms)).collect::<Vec<_>>(), [(1, Some(1)), (2, Some(1))]);
    assert_eq!(bodies(&seen), ["a"], "each call gets one through");
}

#[test]
fn mistakes_in_settings_stop_the_start() {
    let start = |json: &str, variable: Option<&str>| {
        let config = Config::parse(json).unwrap();
        Otlp::new(&config, variable, Box::new(Network)).map(|_| ()).unwrap_err()
    };
    assert!(start(r#"{"endpoint":"collector:4317"}"#, None).contains("has no scheme"));
    assert!(start("{}", Some("nonsense")).contains("OTEL_EXPORTER_OTLP_HEADERS has an entry without"));
    assert!(Otlp::init("{}").is_ok_and(|otlp| otlp.target.to_string() == WHERE));
}
