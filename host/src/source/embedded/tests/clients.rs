//! What real clients send.

use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Host, ask, packed, soon, xadd};

#[tokio::test]
async fn many_publishers_at_once_through_the_redis_crate() {
    let mut host = Host::start(|_| ()).await;
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..8 {
        let mut client = host.client().await;
        publishers.spawn(async move {
            for entry in 0..250 {
                xadd(&mut client, format!("{publisher}-{entry}").as_bytes()).await.unwrap();
            }
        });
    }
    let mut values: Vec<String> = host.entries(2_000).await.into_iter().map(|entry| entry.fields[0].1.clone()).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 2_000);
}

#[tokio::test]
async fn ten_thousand_entries_are_pipelined_before_the_first_reply_is_read() {
    let mut host = Host::start(|_| ()).await;
    let mut socket = host.socket().await;
    let sent = (0..10_000).flat_map(|entry: u32| packed(&[b"XADD", b"mesh:trace", b"*", b"n", entry.to_string().as_bytes()]));
    socket.write_all(&sent.collect::<Vec<u8>>()).await.unwrap();
    let entries = host.entries(10_000).await;
    assert!(entries.iter().enumerate().all(|(n, entry)| entry.fields[0].1 == n.to_string()));
    let mut replies = tokio::io::BufReader::new(socket);
    for entry in entries {
        let (id, mut reply) = (entry.receipt.to_string(), vec![]);
        reply.resize(id.len() + 4 + id.len().to_string().len() + 1, 0);
        soon(replies.read_exact(&mut reply)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&reply), format!("${}\r\n{id}\r\n", id.len()));
    }
}

#[tokio::test]
async fn a_pipeline_of_the_redis_crate() {
    let mut host = Host::start(|_| ()).await;
    let mut client = host.client().await;
    let mut pipeline = redis::pipe();
    for entry in 0..1_000 {
        pipeline.xadd_maxlen("mesh:trace", redis::streams::StreamMaxlen::Approx(100_000), "*", &[("n", entry)]);
    }
    let ids: Vec<String> = soon(pipeline.query_async(&mut client)).await.unwrap();
    let handed: Vec<String> = host.entries(1_000).await.into_iter().map(|entry| entry.receipt.to_string()).collect();
    assert_eq!(ids, handed);
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let mut host = Host::start(|config| config.password = Some("secret".into())).await;
    for user in [":secret@", "default:secret@"] {
        let mut client = host.client_with(user).await.unwrap();
        xadd(&mut client, b"value").await.unwrap();
    }
    for user in [":wrong@", ":@", "somebody:secret@"] {
        if let Ok(mut client) = host.client_with(user).await {
            // A URL with an empty password sends none.
            assert_eq!(xadd(&mut client, b"value").await.unwrap_err().code(), Some("NOAUTH"), "{user}");
        }
    }
    host.entries(2).await;
    let mut socket = host.socket().await;
    ask(&mut socket, "PING\r\n", "-NOAUTH Authentication required.\r\n").await;
    ask(&mut socket, "HELLO 3\r\n", "-NOAUTH HELLO must be called with the client already authenticated").await;
    drop(socket);
    let mut socket = host.socket().await;
    ask(&mut socket, "HELLO 3 AUTH default wrong\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n").await;
    ask(&mut socket, "AUTH secre\r\n", "-WRONGPASS invalid username-password pair or user is disabled.\r\n").await;
    ask(&mut socket, "HELLO 3 AUTH default secret\r\n", "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n").await;
}

#[tokio::test]
async fn a_reset_forgets_the_password_that_was_given() {
    let host = Host::start(|config| config.password = Some("secret".into())).await;
    let mut socket = host.socket().await;
    ask(&mut socket, "AUTH secret\r\nPING\r\n", "+OK\r\n+PONG\r\n").await;
    ask(&mut socket, "RESET\r\nPING\r\n", "+RESET\r\n-NOAUTH Authentication required.\r\n").await;
}

#[tokio::test]
async fn only_the_configured_stream_is_taken() {
    let mut host = Host::start(|config| config.stream = "mcp-mesh:traces".into()).await;
    let mut client = host.client().await;
    let error = xadd(&mut client, b"value").await.unwrap_err();
    assert_eq!(error.detail(), Some("meshtrace's embedded listener keeps only the stream 'mcp-mesh:traces', not 'mesh:trace'"));
    let mut add = redis::cmd("XADD");
    add.arg(&["mcp-mesh:traces", "*", "key", "value"]);
    soon(add.exec_async(&mut client)).await.unwrap();
    host.entries(1).await;
}

#[tokio::test]
async fn what_else_clients_ask_is_answered_or_named() {
    let host = Host::start(|_| ()).await;
    let mut client = host.client().await;
    let info: redis::InfoDict = soon(redis::cmd("INFO").query_async(&mut client)).await.unwrap();
    assert_eq!((info.get::<u8>("loading"), info.get::<usize>("connected_clients")), (Some(0), Some(1)));
    let error = soon(redis::cmd("GET").arg("key").exec_async(&mut client)).await.unwrap_err();
    let accepts = "XADD, XLEN, EXISTS, TYPE, AUTH, HELLO, RESET, QUIT, SELECT, CLIENT, PING, ECHO, INFO, COMMAND";
    assert_eq!(error.detail(), Some(format!("unknown command 'GET', meshtrace's embedded listener accepts {accepts}").as_str()));
}

async fn redis_cli(host: &Host, arguments: &'static [&'static str]) -> String {
    let port = host.address.port().to_string();
    let cli = move || Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
    let output = soon(tokio::task::spawn_blocking(cli)).await.unwrap().expect("redis-cli, which the project's set-up installs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn redis_cli_in_both_protocols() {
    let mut host = Host::start(|_| ()).await;
    let id = redis_cli(&host, &["XADD", "mesh:trace", "MAXLEN", "~", "1000", "*", "trace_id", "a b"]).await;
    let entries = host.entries(1).await;
    assert_eq!(entries[0].receipt.to_string(), id.trim());
    assert_eq!(entries[0].fields, [("trace_id".to_owned(), "a b".to_owned())]);
    assert_eq!(redis_cli(&host, &["-3", "XLEN", "mesh:trace"]).await, "1\n");
    let hello = redis_cli(&host, &["-3", "HELLO"]).await;
    assert!(hello.starts_with("server redis\nversion 7.0.15\nproto 3\n"), "{hello}");
    assert!(redis_cli(&host, &["-3", "INFO"]).await.contains("server_name:meshtrace"));
    assert_eq!(redis_cli(&host, &["-n", "2", "PING"]).await, "PONG\n");
}
