//! One table per ready pattern: what it finds, and what only looks alike. `«…»` marks what is found.

use super::*;
use crate::config::{Config, Place};
use crate::rules::{Rules, Whose};

/// Checks that a ready pattern finds in each text just what is marked.
fn check(name: &str, texts: &[&str]) {
    let config = Config::parse(&format!(r#"{{"rules":[{{"patterns":["{name}"]}}]}}"#), |_| None).unwrap();
    let rules = Rules::new(&config).unwrap();
    for marked in texts {
        let text = marked.replace(['«', '»'], "");
        let mut found = text.clone();
        for spot in rules.spots(&text, rules.plan(Place::Errors), Whose::All).into_iter().rev() {
            found.insert(spot.range.end, '»');
            found.insert(spot.range.start, '«');
        }
        assert_eq!(found, *marked, "{name}");
    }
}

/// Text that a source file should not show as one word, or every scanner of secrets would complain about these tests.
fn joined(parts: &[&str]) -> String {
    parts.concat()
}

#[test]
fn email() {
    check(
        "email",
        &[
            "«joe@example.com»",
            "mail from «joe.o'brien+tag@mail.example.co.uk», sent",
            "<«müller@bücher.example»>",
            "«a@b.xn--p1ai»",
            "/users?mail=«joe%40example.com»&x=1",
            "mailto:«a_b-c%d@example.org».",
            "user='«x@y.zz»'",
            "«a@b.de»,«c@d.fr»",
            // Near misses.
            "@decorator.call",
            "joe@localhost",
            "left-pad@1.3.0",
            "a @ b.com",
            "50%40 off",
            "image@sha256:0123",
            "joe@.com",
        ],
    );
}

#[test]
fn bearer() {
    check(
        "bearer",
        &[
            "Authorization: Bearer «abc123def456»",
            "authorization=bearer «mF_9.B5f-4.1JqM»",
            "BEARER  «AbCdEfGh+/~==»",
            "auth=Bearer%20«s3cr3tt0ken»",
            "{'Authorization': 'Bearer «s3cr3tt0ken»'}",
            "bearer token «0123456789»",
            "Bearer «onlyletters»",
            // Near misses.
            "Bearer authentication required",
            "the bearer of bad news",
            "Bearer token expired",
            "WWW-Authenticate: Bearer realm=\"api\"",
            "bearer authorization.",
        ],
    );
}

#[test]
fn basic() {
    check(
        "basic",
        &[
            "Authorization: Basic «QWxhZGRpbjpvcGVuIHNlc2FtZQ==»",
            "basic «dXNlcjpwYXNz»",
            "Basic «w7xzZXI6cMOkc3M=»",
            // Near misses: not base64 of something with a colon.
            "Basic authentication failed",
            "a basic understanding",
            "BASIC 1234",
            "Basic QWxhZGRpbg==",
        ],
    );
}

#[test]
fn jwt() {
    check(
        "jwt",
        &[
            "«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk»",
            "token «eyJhbGciOiJub25lIn0.eyJqb2UiOnRydWV9.»",
            "jwe=«eyJhbGciOiJSU0EtT0FFUCJ9.OKOawDo13gRp2ojaHV7L.48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT»",
            "cut off: «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx»",
            // Near misses.
            "eyJhbGciOiJIUzI1NiJ9",
            "heyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0In0",
            "eyJ.eyJ.x",
            "package.eyJson.parse",
        ],
    );
}

#[test]
fn api_key() {
    let keys = [
        joined(&["sk-", "proj-abcDEF123_456-7890abcdef"]),
        joined(&["sk-", "ant-api03-AbCdEfGhIjKlMnOp1234"]),
        joined(&["sk", "_live_4eC39HqLyjWDarjtT1zdp7dc"]),
        joined(&["rk", "_test_4eC39HqLyjWDarjtT1zdp7dc"]),
        joined(&["AKIA", "IOSFODNN7EXAMPLE"]),
        joined(&["AIza", "SyA1234567890abcdefghijklmnopqrstuv"]),
        joined(&["ya29.", "a0AfH6SMBxyz1234567890"]),
        joined(&["ghp_", "0123456789abcdefghijABCDEFGHIJ012345"]),
        joined(&["github_pat_", "11ABCDEFG0abcdefghijkl_0123456789"]),
        joined(&["glpat-", "ABCDEFGHijklmnop1234"]),
        joined(&["xoxb-", "123456789012-abcdefGHIJKL"]),
        joined(&["npm_", "abcdefghijklmnopqrstuvwxyz0123456789"]),
        joined(&["hf_", "abcdefghijklmnopqrstuvwxyzABCDEFGH"]),
        joined(&["gsk_", "abcdefghijklmnopqrstuvwx"]),
        joined(&["SG.", "ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"]),
        joined(&["SK", "0123456789abcdef0123456789abcdef"]),
        joined(&["pypi-", "AgEIcHlwaS5vcmcCJDEyMzQ1Njc4LTEyMzQtMTIzNA"]),
        joined(&["shpat_", "0123456789abcdef0123456789ABCDEF"]),
        joined(&["hvs.", "CAESIJ0123456789abcdefgh"]),
    ];
    for key in keys {
        check("api_key", &[&format!("«{key}»"), &format!("key_«{key}», next"), &format!("x=\"«{key}»\"")]);
    }
    check(
        "api_key",
        &[
            "sk-learn-pipeline-runner",
            "task-0123456789abcdefgh",
            "AKIA123",
            "ghp_short",
            "hf_hub_download",
            "SG.a.b",
            "xox-1",
            "npm_config_cache",
        ],
    );
}

#[test]
fn private_key() {
    let (begin, end) = (joined(&["-----BEGIN RSA PRIVATE ", "KEY-----"]), joined(&["-----END RSA PRIVATE ", "KEY-----"]));
    check(
        "private_key",
        &[
            &format!("before «{begin}\nMIIEow\nIBAAKC\n{end}» after"),
            &format!("cut off «{begin}\nMIIEow»"),
            &format!("«{begin}a{end}» «{begin}b{end}»"),
            "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
            "BEGIN RSA PRIVATE KEY",
        ],
    );
}

#[test]
fn url_password() {
    check(
        "url_password",
        &[
            "postgres://joe:«s3cret»@db:5432/app",
            "redis://:«p@ss»@cache:6379",
            "connect to amqps://a:«b»@c and https://d:«e%2F»@f/g failed",
            // Near misses.
            "http://host:8080/path?mail=a@b.com",
            "https://joe@example.com/",
            "http://[::1]:80/",
            "git@github.com:org/repo",
        ],
    );
}

#[test]
fn assigned_secret() {
    check(
        "assigned_secret",
        &[
            "password=«hunter2» rest",
            "login?user=joe&password=«hunter2»&next=1",
            "DB_PASSWORD: «hunter2»",
            r#"{"password": "«correct horse»", "n": 1}"#,
            "{'api_key': '«abc def»'}",
            "x-api-key: «abc123»",
            "client_secret => «abc123»",
            "clientSecret=«abc123»",
            "AWS_SECRET_ACCESS_KEY=«wJalrXUtnFEMI/K7MDENG»",
            "accessToken:«abc.def»",
            "?token=«abc123»",
            "Authorization: Bearer «abc123»",
            "authorization: «abc123»",
            "password%3D«abc»&x",
            "Set-Cookie: «session=abc; Path=/; HttpOnly»\nnext",
            r#"cut off: {"password": "«hun»"#,
            // Near misses.
            "password must be set",
            "passwordless=maybe",
            "password=",
            "llm_total_tokens=512",
            "unexpected token: identifier",
            "the secretary: Jane",
            "requires authorization",
            "cookie jar",
        ],
    );
}

#[test]
fn card() {
    check(
        "card",
        &[
            "«4111111111111111»",
            "card 4111-1111 then «4111-1111-1111-1111».",
            "«4111 1111 1111 1111» exp 12/28",
            "«378282246310005» and «3782 822463 10005»",
            "«5555555555554444»,«2223003122003222»",
            "«6011111111111117»;«3530111333300000»",
            "«30569309025904»",
            "«4222222222222»",
            "1234 «4111 1111 1111 1111» 99",
            "pan_«4111111111111111»_x",
            "-«4111111111111111»",
            "«4111111111111111».0",
            "«6200 0000 0000 0000 000»",
            // Near misses: Luhn's sum, length, network, words, fractions, times, counters.
            "4111111111111112",
            "41111111111111111",
            "1795221702944652801",
            "1721300000000 1721300000000000",
            "0000000000000000",
            "0.4111111111111111",
            "a4111111111111111",
            "4111111111111111b",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "4111, 1111, 1111, 1111",
            "4111  1111 1111 1111",
            "411111111111111",
        ],
    );
}

#[test]
fn iban() {
    check(
        "iban",
        &[
            "«DE89370400440532013000»",
            "IBAN «DE89 3704 0044 0532 0130 00» thanks",
            "«GB82WEST12345698765432», «NO9386011117947»",
            "REF AB12 «FR1420041010050500013M02606»",
            "«MT84MALT011000012345MTLCAST001S»",
            // Near misses.
            "DE89370400440532013001",
            "XDE89370400440532013000",
            "DE89370400440532013000x",
            "de89370400440532013000",
            "AB12 CDEF",
        ],
    );
}

#[test]
fn no_pattern_sees_what_fills_traces() {
    let usual = [
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
        "550e8400-e29b-41d4-a716-446655440000",
        "2026-04-21T09:41:42.944652801Z",
        "1795221702.9446528",
        "1795221702944652801",
        "tool:get_weather",
        "weather-agent-7d9c8b-x2x4z",
        "http://10.0.12.7:9090/mcp",
        "proxy_call",
        r#"["date_service", "weather_service"]"#,
        r#"{"temperature": 21.5, "max_tokens": 512, "stop": null}"#,
        "ValueError: invalid literal for int() with base 10: 'abc' at line 4012",
        "claude-sonnet-4-5-20250929",
        "/usr/lib/python3.12/site-packages/mcp/client/session.py",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "+49 30 1234567",
    ];
    for name in READY.iter().map(|ready| ready.name) {
        check(name, &usual);
    }
}

#[test]
fn names_are_those_of_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../config.schema.json")).unwrap();
    let listed = &schema["$defs"]["rule"]["properties"]["patterns"]["items"]["enum"];
    assert_eq!(*listed, serde_json::json!(names()));
    assert!(named("all").is_some() && named("card").is_some() && named("cards").is_none());
}

#[test]
fn hostile_texts_take_time_in_proportion_to_their_length() {
    let config = Config::parse("{}", |_| None).unwrap();
    let rules = Rules::new(&config).unwrap();
    // Each repeats what some expression begins with and never ends.
    let pieces = [
        "4",
        "4 ",
        "4111 ",
        "a",
        "a@",
        "a.",
        "eyJ",
        "eyJa.",
        "DE89",
        "DE89 ",
        "AB12 CDEF ",
        "://a:",
        "bearer ",
        "password=",
        "sk-",
        "-----BEGIN ",
    ];
    for piece in pieces {
        let text = piece.repeat((256 << 10) / piece.len());
        let started = std::time::Instant::now();
        let found = rules.spots(&text, rules.plan(Place::Errors), Whose::All).len();
        let seconds = started.elapsed().as_secs_f64();
        // What grows with the square takes minutes.
        assert!(seconds < 15.0, "{piece:?}: {seconds} s for {found} spots");
    }
}
