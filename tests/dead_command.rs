//! `meshtrace dead list`, `show` and `drop`: what nobody took is looked at, or removed.

use redis::Commands;
use serde_json::{Value, json};

use crate::support::certificates::Certificates;
use crate::support::dead::{bury_by_hand, done, failed, length, letter_ids, time_of, with_guests};
use crate::support::events::{entry, lone, publish};
use crate::support::host::HostBuilder;
use crate::support::redis_server::{DEAD, GROUP, RedisServer, STREAM, configure, pending, wait_until_settled};
use crate::support::{eventually, free_port};

/// Scenario: a plugin refuses a trace of two entries, and an entry of odd bytes is no event.
/// Guarantees: `list` has a line for each with what, when, who and why, the latest last, as a table and as JSON, all or a part; `show` has all fields by
/// either id; nothing reaches the terminal that it would act on, and what does not exist is said not to.
#[test]
fn what_nobody_took_is_listed_and_shown() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    assert_eq!(done(&redis, &["list"]), "no dead letters in {mesh:trace}:dead\n");
    let host = with_guests(&redis, &[("reject", "reject")]).start();
    let odd = entry(&[("trace_id", "odd\u{1b}[2J"), ("dead:reason", "a\nb\\"), ("", "")]);
    let odd_id = publish(&mut connection, STREAM, &[odd]).remove(0);
    letter_ids(&mut connection, 1);
    let places =
        publish(&mut connection, STREAM, &[lone("t", "unwanted"), entry(&[("trace_id", "t"), ("span_id", "b"), ("parent_span", "a")])]);
    let ids = letter_ids(&mut connection, 3);
    drop(host);

    let list = format!(
        "\
DEAD LETTER      BURIED                    STAGE   PLUGIN  ENTRIES  TRACE         REASON
{}  {}  decode  -       1        odd\\u{{1b}}[2J  the entry has no span_id; a span event needs trace_id and span_id
{}  {}  export  reject  2        t             nobody wants this one
2 lines; 3 dead letters in {{mesh:trace}}:dead, which keeps about 100000
",
        ids[0],
        time_of(&ids[0]),
        ids[1],
        time_of(&ids[2])
    );
    assert_eq!(done(&redis, &["list"]), list);
    let last = done(&redis, &["list", "--limit", "1"]);
    let words = |text: &str, line: usize| text.lines().nth(line).map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(words(&last, 1), words(&list, 2));
    assert!(last.ends_with("\n1 of 2 lines; 3 dead letters in {mesh:trace}:dead, which keeps about 100000\n"), "{last}");
    let json = |arguments: &[&str]| -> Vec<Value> {
        let text = done(&redis, &[&["list", "--json"], arguments].concat());
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let export = json!({"id": ids[1], "buried_at": time_of(&ids[2]), "stage": "export", "plugin": "reject", "trace_id": "t", "entries": 2,
        "rebuilt": 0, "without_fields": 0, "reason": "nobody wants this one"});
    for arguments in [["--plugin", "reject"], ["--stage", "export"]] {
        assert_eq!(json(&arguments), std::slice::from_ref(&export));
    }
    assert_eq!(json(&["--stage", "decode"])[0]["trace_id"], "odd\u{1b}[2J");
    assert_eq!((json(&[]).len(), json(&["--plugin", "other"]).len()), (2, 0));

    let shown = format!(
        "\
dead letter {}, buried {}
  entry   {odd_id}
  stage   decode
  reason  the entry has no span_id; a span event needs trace_id and span_id
  fields
            trace_id = odd\\u{{1b}}[2J
            dead:reason = a\\nb\\\\
             =
",
        ids[0],
        time_of(&ids[0])
    );
    for name in [&ids[0], "odd\u{1b}[2J", "odd\\u{1b}[2J"] {
        assert_eq!(done(&redis, &["show", name]), shown);
    }
    let of_trace = done(&redis, &["show", &ids[2]]);
    assert!(
        of_trace.contains(&format!("  entry   {}\n  stage   export\n  reason  nobody wants this one\n  plugin  reject\n", places[0])),
        "{of_trace}"
    );
    assert!(
        of_trace.contains("function_name = unwanted\n") && of_trace.ends_with("span_id = b\n            parent_span = a\n"),
        "{of_trace}"
    );
    let (_, said) = failed(&redis, &["show", "x\u{7}"]);
    let expected =
        "meshtrace: {mesh:trace}:dead has no dead letter and no trace called x\\u{7}; `meshtrace dead list` shows which there are\n";
    assert_eq!(said, expected);
}

/// Scenario: an entry is no event, Redis refuses dead letters, and the stream loses the entry before it takes them again.
/// Guarantees: the dead letter says why and which entry it was; the commands say that its fields are lost, keep it when asked to retry it, and drop it.
#[test]
fn an_entry_that_was_lost_before_it_was_buried_is_said_to_be() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    let host = HostBuilder::new(&redis.url()).start();
    host.wait_until_running();
    host.signal(libc::SIGSTOP);
    let place = publish(&mut connection, STREAM, &[entry(&[("no", "event")])]).remove(0);
    configure(&mut connection, "maxmemory", "1");
    host.signal(libc::SIGCONT);
    eventually("the refusal is told", || host.stderr().contains("Redis refuses dead letters").then_some(()));
    assert_eq!(redis::cmd("XTRIM").arg(STREAM).arg("MAXLEN").arg(0).query(&mut connection), Ok(1));
    configure(&mut connection, "maxmemory", "0");
    let id = letter_ids(&mut connection, 1).remove(0);
    eventually("it is acknowledged", || (pending(&mut connection, GROUP) == 0).then_some(()));

    let why = "the entry has no trace_id; a span event needs trace_id and span_id";
    assert!(done(&redis, &["list"]).contains(&format!("  decode  -       1        -      {why} [1 without fields]\n")));
    let shown = format!(
        "dead letter {id}, buried {}\n  entry   {place}\n  stage   decode\n  reason  {why}\n  fields  none: the entry had left the log before it was \
         buried, or was too large to be read; it cannot be retried, only dropped\n",
        time_of(&id)
    );
    assert_eq!(done(&redis, &["show", &id]), shown);
    let (_, said) = failed(&redis, &["retry", &id]);
    let expected = format!(
        "meshtrace: {id} stays a dead letter: its fields had left the log before it was buried, or were too many bytes to be read\n`meshtrace dead drop ID` removes what is not wanted any more\n"
    );
    assert_eq!(said, expected);
    assert_eq!(done(&redis, &["drop", &id]), "removed 1 dead letter\n");
    assert_eq!(length(&mut connection, DEAD), 0);
}

/// Scenario: the key of the dead letters holds something else when an entry turns out to be no event.
/// Guarantees: the entry is not acknowledged before it could be written; the command says what Redis says.
#[test]
fn nothing_is_acknowledged_while_the_key_of_dead_letters_is_no_stream() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    connection.set::<_, _, ()>(DEAD, "somebody else's").expect("SET");
    let host = HostBuilder::new(&redis.url()).start();
    publish(&mut connection, STREAM, &[entry(&[("no", "event")])]);
    eventually("the refusal is told", || host.consumer("last_error").contains("WRONGTYPE").then_some(()));
    assert_eq!(pending(&mut connection, GROUP), 1);
    let (_, said) = failed(&redis, &["list"]);
    assert!(said.starts_with("meshtrace: {mesh:trace}:dead: ") && said.contains("WRONGTYPE"), "{said}");
    connection.del::<_, ()>(DEAD).expect("DEL");
    letter_ids(&mut connection, 1);
    wait_until_settled(&mut connection, GROUP);
}

/// Scenario: dead letters of two plugins are dropped by id, by plugin, and all.
/// Guarantees: just these go, a trace's together; all of them only when that is confirmed; the command line refuses what makes no sense.
#[test]
fn dropping_takes_what_was_named_and_all_only_when_it_is_confirmed() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    bury_by_hand(&mut connection, 4);
    let decoded = entry(&[("dead:entry", "1-1"), ("dead:stage", "decode"), ("dead:reason", "no event"), ("no", "event")]);
    publish(&mut connection, DEAD, &[decoded]);
    let ids = letter_ids(&mut connection, 9);
    assert_eq!(done(&redis, &["drop", "1", &ids[1], &ids[0]]), "removed 4 dead letters\n");
    let (_, said) = failed(&redis, &["drop", "--all"]);
    assert_eq!(said, "meshtrace: --all would remove 5 dead letters for good; add --yes to do it\n");
    assert_eq!(length(&mut connection, DEAD), 5);
    let (printed, said) = failed(&redis, &["drop", "nothing", "2"]);
    assert_eq!((printed.as_str(), said.contains("called nothing;")), ("removed 2 dead letters\n", true));
    assert_eq!(done(&redis, &["drop", "--all", "--yes", "--plugin", "gone"]), "removed 2 dead letters\n");
    assert_eq!(done(&redis, &["drop", "--all", "--yes"]), "removed 1 dead letter\n");
    for arguments in [&["drop"][..], &["retry"], &["retry", "1", "--all"], &["drop", "1", "--yes"], &["retry", "1", "--plugin", "gone"]] {
        let (_, said) = failed(&redis, arguments);
        assert!(said.starts_with("error: ") && said.contains("Usage: meshtrace dead "), "{said}");
    }
}

/// Scenario: nearly as many dead letters as are kept.
/// Guarantees: `list` says so, and `retry --all --plugin` takes the traces of that plugin and no others.
#[test]
fn being_close_to_the_bound_is_said() {
    let redis = RedisServer::start();
    let mut connection = redis.connect();
    bury_by_hand(&mut connection, 45_000);
    let list = done(&redis, &["list", "--plugin", "other"]);
    let expected = "\
0 of 45000 lines; 90000 dead letters in {mesh:trace}:dead, which keeps about 100000
that is close: the oldest are lost when more come; `meshtrace dead retry` or `drop` makes room
";
    assert_eq!(list, expected);
    assert_eq!(done(&redis, &["retry", "--all", "--plugin", "other"]), "put 0 entries back on mesh:trace\n");
    assert_eq!(done(&redis, &["list", "--json", "--limit", "3"]).lines().count(), 3);
}

/// Scenario: dead letters behind TLS with client certificates; behind a password, in another database and beside another stream; and no Redis at all.
/// Guarantees: the host's own settings reach the first two, no password is shown, and what cannot be reached is said in a line.
#[test]
fn every_connection_setting_of_the_host_holds() {
    let (certificates, port) = (Certificates::new(), free_port());
    let redis = certificates.server(port, &["--tls-auth-clients", "yes"]);
    bury_by_hand(&mut redis.connect(), 1);
    let ended = HostBuilder::new(&format!("rediss://127.0.0.1:{port}"))
        .set("REDIS_TLS_CA", &certificates.path("ca.pem"))
        .set("REDIS_TLS_CERT", &certificates.path("client.pem"))
        .set("REDIS_TLS_KEY", &certificates.path("client.key"))
        .arguments(&["dead", "retry", "--all"])
        .ended();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("put 2 entries back on mesh:trace\n", ""));

    let mut redis = RedisServer::start_with(&["--requirepass", "correct-horse"]);
    redis.path = format!(":correct-horse@127.0.0.1:{}/3", redis.port);
    publish(&mut redis.connect(), "{mcp-mesh:traces}:dead", &[entry(&[("dead:stage", "decode"), ("no", "event")])]);
    assert_eq!(done(&redis, &["retry", "--all", "--stream", "mcp-mesh:traces"]), "put 1 entry back on mcp-mesh:traces\n");
    assert_eq!(length(&mut redis.connect(), "mcp-mesh:traces"), 1);
    redis.path = redis.path.replace("correct-horse", "wrong-battery");
    let (_, said) = failed(&redis, &["list"]);
    assert!(said.starts_with("meshtrace: Redis cannot be reached: ") && !said.contains("wrong-battery"), "{said}");

    let said = HostBuilder::new("redis://127.0.0.1:1").arguments(&["dead", "list"]).refused();
    assert!(said.starts_with("meshtrace: Redis cannot be reached: ") && said.ends_with("; REDIS_URL says where it is\n"), "{said}");
    let said = HostBuilder::new("embedded://:secret@127.0.0.1:6379").arguments(&["dead", "list"]).refused();
    let expected = "meshtrace: REDIS_URL=embedded://127.0.0.1:6379: an embedded listener keeps no dead letters (its /trace/status names the last entries that it gave up); expected a Redis\n";
    assert_eq!(said, expected);
}
