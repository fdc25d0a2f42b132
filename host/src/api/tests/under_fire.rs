//! Clients that are slow, broken, or mean harm.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::serving::{LARGE, PATIENCE, body_bytes, read_to_end, serve, understood};
use super::*;
use crate::api::server::{BODY_BYTES, HEAD_BYTES, URI_BYTES};
use crate::api::traffic::End;

fn request(line: &str, more: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n").into_bytes()
}

#[tokio::test]
async fn a_request_that_does_not_end_is_answered_with_408() {
    let server = serve(|bounds| bounds.head = Duration::from_millis(100)).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /health HTTP/1.1\r\nhost: loc").await.unwrap();
    let (status, _, body) = understood(&read_to_end(&mut slow).await);
    assert_eq!((status, &body["expected"]), (408, &json!("all of its head within 100ms")));
    server.until_ended(End::SlowRequest, 1).await;
}

#[tokio::test]
async fn a_byte_now_and_then_buys_no_time() {
    let server = serve(|bounds| bounds.head = Duration::from_millis(200)).await;
    let mut slow = server.connect().await;
    slow.set_nodelay(true).unwrap();
    let dribble = async {
        while slow.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dribble).await.unwrap();
    server.until_ended(End::SlowRequest, 1).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up_and_so_is_one_that_reads_too_slowly() {
    let server = serve(|bounds| bounds.stall = Duration::from_millis(100)).await;
    let mut deaf = server.connect().await;
    deaf.write_all(&request("GET /large", "")).await.unwrap();
    server.until_ended(End::SlowReader, 1).await;
    let server = serve(|bounds| bounds.answer = Duration::from_millis(300)).await;
    let mut slow = server.connect().await;
    slow.write_all(&request("GET /large", "")).await.unwrap();
    let sip = async {
        let mut some = vec![0; 1 << 16];
        while server.traffic.count(End::SlowReader) == 0 {
            let _ = slow.read(&mut some).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sip).await.unwrap();
}

#[tokio::test]
async fn answers_that_wait_for_their_clients_have_a_bound_together() {
    let server = serve(|bounds| bounds.held_bytes = LARGE + LARGE / 2).await;
    let mut first = server.connect().await;
    first.write_all(&request("GET /large", "")).await.unwrap();
    first.readable().await.unwrap();
    let (status, head, body) = server.say(&request("GET /large", "")).await;
    assert_eq!((status, head.contains("retry-after: 1")), (503, true), "{body}");
    assert_eq!(server.say(&request("GET /health", "")).await.0, 200, "short answers need no room");
    assert_eq!(body_bytes(&read_to_end(&mut first).await), LARGE);
    // The room is free when the last byte has been taken.
    let mut again = server.connect().await;
    again.write_all(&request("GET /large", "")).await.unwrap();
    assert!(read_to_end(&mut again).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_too_large_is_named_by_its_status() {
    let server = serve(|_| ()).await;
    let path = format!("GET /trace/{}", "a".repeat(URI_BYTES));
    let header = format!("x: {}\r\n", "a".repeat(HEAD_BYTES));
    let endless = format!("x: {}", "a".repeat(1 << 20));
    let many: String = (0..101).map(|number| format!("x{number}: y\r\n")).collect();
    let body = format!("content-length: {}\r\n", BODY_BYTES + 1);
    for (line, more, status) in [
        (path.as_str(), "", 414),
        ("GET /health", &header, 431),
        ("GET /health", &endless, 431),
        ("GET /health", &many, 431),
        ("GET /health", &body, 413),
        ("POST /trace/list", "content-length: 99999999999999\r\n", 413),
    ] {
        let (answered, head, body) = server.say(&request(line, more)).await;
        assert_eq!(answered, status, "{body}");
        assert!(head.contains("content-type: application/json") && body["error"].is_string(), "{head} {body}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_not_waited_for_and_the_answer_still_arrives() {
    let server = serve(|_| ()).await;
    let body = "x".repeat(1 << 20);
    let announced = format!("content-length: {}\r\n\r\n{body}", body.len());
    let (status, ..) = server.say(&request("PUT /trace/list", &announced)).await;
    assert_eq!(status, 413);
    // Of unknown length, and it never ends.
    let (status, ..) = server.say(&request("GET /health", "transfer-encoding: chunked\r\n\r\n5\r\nhello")).await;
    assert_eq!(status, 200);
    let (status, ..) = server.say(&request("DELETE /health", "content-length: 5\r\n\r\nhello")).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn what_is_no_request_is_a_400_in_json() {
    let server = serve(|_| ()).await;
    let mut sent = 0;
    for bytes in [
        &b"hello\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET /trace/\x01 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /trace/a\0b HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /trace/ \xff HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        b"GET /health HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\ncontent-length: 5, 6\r\n\r\n",
        b"GET /health HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    ] {
        let (status, head, body) = server.say(bytes).await;
        assert_eq!((status, &body["error"]), (400, &json!("malformed request")), "{}", bytes.escape_ascii());
        assert!(head.contains("connection: close"), "{head}");
        sent += 1;
        server.until_ended(End::Malformed, sent).await;
    }
}

#[tokio::test]
async fn paths_that_try_to_lead_elsewhere_are_ids_or_nothing() {
    let state = state(store(), Fake::default());
    for (path, id) in [
        ("/trace/..%2fstatus", "../status"),
        ("/trace/..%2F..%2F..%2Fetc%2Fpasswd", "../../../etc/passwd"),
        ("/trace/%2e%2e%2fhealth", "../health"),
        ("/trace/%252e%252e%252fhealth", "%2e%2e%2fhealth"),
        ("/trace/a%00b", "a\0b"),
        ("/trace/%0d%0aset-cookie:%20a=b", "\r\nset-cookie: a=b"),
        ("/trace/%1b%5B31m", "\u{1b}[31m"),
        ("/trace/%E2%80%AEx", "\u{202e}x"),
        ("/trace/..", ".."),
        ("/trace/%zz", "%zz"),
        ("/trace/%3Cscript%3E", "<script>"),
        ("/trace/..\\status", "..\\status"),
        ("/registry/trace/..%2f..%2fhealth", "../../health"),
    ] {
        let (status, body) = get(&state, path).await;
        assert_eq!((status, body), (StatusCode::NOT_FOUND, json!({"error": "trace not found", "trace_id": id})), "{path}");
    }
    for path in
        ["/trace/../health", "//health", "/health/", "/trace//status", "/./health", "/health%2f", "/HEALTH", "/trace/x/../../health"]
    {
        let (status, body) = get(&state, path).await;
        assert_eq!((status, &body["error"], &body["path"]), (StatusCode::NOT_FOUND, &json!("no such path"), &json!(path)));
    }
    let (status, body) = get(&state, "/plugins/..%2f..%2fetc").await;
    assert_eq!((status, &body["plugin"]), (StatusCode::NOT_FOUND, &json!("../../etc")));
}

#[tokio::test]
async fn an_id_as_long_as_a_path_may_be_is_looked_for_like_any_other() {
    let state = state(store(), Fake::default());
    let id = "%41".repeat(2_000);
    let (status, body) = get(&state, &format!("/trace/{id}")).await;
    assert_eq!((status, body["trace_id"].as_str().map(str::len)), (StatusCode::NOT_FOUND, Some(2_000)));
    assert_eq!(get(&state, &format!("/trace/{id}/decision")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_malformed_query_is_a_400_that_names_what_it_is_about() {
    let state = state(store(), Fake::default());
    for query in ["%ff=1", "limit=%ff", "limit=1%00", "limit=1%0a", "=", "&=&", "limit", "limit=1;offset=2", "a[]=1", "%", "limit=%31%zz"] {
        let (status, body) = get(&state, &format!("/trace/list?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {body}");
        assert!(body["parameter"].is_string() && body["given"].is_string() && body["expected"].is_string(), "{query}: {body}");
    }
    let many = "limit=1&".repeat(900);
    assert_eq!(get(&state, &format!("/trace/list?{many}")).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_open_trace_is_copied_only_when_it_is_its_turn() {
    let (copies, open) = (Arc::<AtomicUsize>::default(), sample::documented());
    let id = open.id.to_string();
    let fake = Fake {
        open: Some(open),
        copies: Arc::clone(&copies),
        filters: Some(Vec::new()),
        ..Fake::default()
    };
    let api = Api::new(state(Arc::new(Store::new(Limits::default())), fake), Duration::from_millis(20));
    let turns = Arc::clone(&api.rendering).acquire_many_owned(crate::api::MAX_RENDERING as u32).await.unwrap();
    let router = routes(api);
    let ask = async |path: String| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body: Json = serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap();
        (status, body["error"].clone())
    };
    let busy = json!("too many answers are being put together, none was done within 20ms");
    assert_eq!(ask(format!("/trace/{id}")).await, (StatusCode::SERVICE_UNAVAILABLE, busy));
    // Neither needs a turn.
    assert_eq!(ask(format!("/trace/{id}/decision")).await, (StatusCode::NOT_FOUND, json!("trace not decided yet")));
    assert_eq!(ask("/trace/another".to_owned()).await, (StatusCode::NOT_FOUND, json!("trace not found")));
    assert_eq!(copies.load(Ordering::Relaxed), 0);
    drop(turns);
    assert_eq!(ask(format!("/trace/{id}")).await, (StatusCode::OK, Json::Null));
    assert_eq!(copies.load(Ordering::Relaxed), 1);
}
