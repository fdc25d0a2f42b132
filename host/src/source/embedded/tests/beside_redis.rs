//! The same commands to a real Redis and to the listener give the same replies.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{conversation, feed};

/// One request a line; each line's reply is compared byte by byte.
const REQUESTS: &str = "
PING|PING hello|PING a b|ECHO hello|ECHO|ECHO a b
SELECT 0|SELECT 15|SELECT 16|SELECT -1|SELECT x|SELECT 99999999999|SELECT
CLIENT|CLIENT GETNAME|CLIENT SETNAME me|CLIENT GETNAME|CLIENT SETNAME|CLIENT NOPE|CLIENT GETNAME x
CLIENT NO-EVICT on|CLIENT ID x
AUTH|AUTH a|AUTH a b|AUTH default b|AUTH a b c
HELLO 4|HELLO x|HELLO 3 FOO|HELLO 3 AUTH a|HELLO 3 AUTH a b|HELLO 2 SETNAME|PING
XADD|XADD mesh:trace|XADD mesh:trace * a|XADD mesh:trace * a b c|XADD mesh:trace x a b|XADD mesh:trace 0-0 a b
XADD mesh:trace 0-* a b|XADD mesh:trace 0-* a b|XADD mesh:trace 5 a b|XADD mesh:trace 5 a b|XADD mesh:trace 4-7 a b
XADD mesh:trace 5-* a b|XADD mesh:trace 6-* a b|XADD mesh:trace - a b|XADD mesh:trace + a b|XADD mesh:trace 7-x a b
XADD mesh:trace MAXLEN ~ 100000 8-1 a b|XADD mesh:trace maxlen = 100000 8-2 a b|XADD mesh:trace MAXLEN 100000 8-3 a b
XADD mesh:trace MINID ~ 0-1 8-4 a b|XADD mesh:trace MINID 0 8-5 a b|XADD mesh:trace NOMKSTREAM 8-6 a b
XADD mesh:trace MAXLEN x 9-1 a b|XADD mesh:trace MAXLEN ~ -5 9-1 a b|XADD mesh:trace MINID x 9-1 a b|XADD mesh:trace MAXLEN ~ 9-1 a b
XADD mesh:trace MAXLEN 5 MINID 5 9-1 a b|XADD mesh:trace MAXLEN 5 MAXLEN 5 9-1 a b|XADD mesh:trace MINID 5 MINID 5 9-1 a b
XADD mesh:trace LIMIT 5 9-1 a b|XADD mesh:trace LIMIT 0 9-1 a b|XADD mesh:trace MAXLEN 99 LIMIT 5 9-1 a b|XADD mesh:trace MAXLEN = 99 LIMIT 0 9-1 a b
XADD mesh:trace MAXLEN ~ 99 LIMIT 5 9-2 a b|XADD mesh:trace MAXLEN ~ 99 LIMIT -5 9-3 a b|XADD mesh:trace MAXLEN ~ 99 LIMIT x 9-3 a b
XADD mesh:trace LIMIT 5 MAXLEN ~ 99 9-4 a b|XADD mesh:trace NOMKSTREAM MAXLEN|XADD mesh:trace MAXLEN ~ 99 LIMIT 9-5|XADD mesh:trace MAXLEN 5 5 5
XADD mesh:trace 18446744073709551615-18446744073709551614 a b|XADD mesh:trace * a b|XADD mesh:trace * a b|XADD mesh:trace 1-1 a b
XLEN|XLEN other|EXISTS|EXISTS other|EXISTS mesh:trace other mesh:trace|TYPE|TYPE mesh:trace|TYPE other
RESET|CLIENT GETNAME|RESET x|QUIT
";

struct Redis {
    process: Child,
    socket: PathBuf,
}

impl Redis {
    /// One of our own, without a port or files. Installed by the project's set-up.
    fn start(name: &str) -> Redis {
        let socket = std::env::temp_dir().join(format!("meshtrace-embedded-{}-{name}.sock", std::process::id()));
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket).stdout(Stdio::null());
        let process = command.spawn().expect("redis-server, which the project's set-up installs");
        Redis { process, socket }
    }

    fn connect(&self) -> UnixStream {
        let since = Instant::now();
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => return stream,
                // It tells nobody when it listens.
                Err(error) => assert!(since.elapsed() < Duration::from_secs(20), "{error}"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// One reply: all of these are a line, or a line and a bulk string.
fn read_reply(stream: &mut BufReader<UnixStream>) -> String {
    let mut reply = String::new();
    stream.read_line(&mut reply).unwrap();
    if let Some(length) = reply.strip_prefix('$').and_then(|length| length.trim_end().parse::<usize>().ok()) {
        let mut text = vec![0; length + 2];
        stream.read_exact(&mut text).unwrap();
        reply.push_str(&String::from_utf8(text).unwrap());
    }
    reply
}

#[test]
fn replies_are_those_of_redis() {
    let redis = Redis::start("replies");
    let mut theirs = BufReader::new(redis.connect());
    theirs.get_ref().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (_, mut ours) = conversation(|_| ());
    let mut differing = Vec::new();
    for request in REQUESTS.split(['|', '\n']).filter(|request| !request.is_empty()) {
        let line = format!("{request}\r\n");
        theirs.get_mut().write_all(line.as_bytes()).unwrap();
        let reply = feed(&mut ours, line.as_bytes());
        let (reply, theirs) = (String::from_utf8_lossy(&reply).into_owned(), read_reply(&mut theirs));
        if reply != theirs {
            differing.push((request, reply, theirs));
        }
    }
    assert!(differing.is_empty(), "request, ours, theirs: {differing:#?}");
    let mut rest = Vec::new();
    theirs.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() && ours.is_over(), "both close after QUIT");
}

#[test]
fn hello_switches_the_protocol_as_redis_does() {
    let redis = Redis::start("hello");
    let mut theirs = redis.connect();
    theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (_, mut ours) = conversation(|_| ());
    for request in ["HELLO 3\r\n", "CLIENT GETNAME\r\n", "HELLO 2 SETNAME me\r\n", "CLIENT GETNAME\r\n", "HELLO\r\n"] {
        theirs.write_all(request.as_bytes()).unwrap();
        let reply = String::from_utf8(feed(&mut ours, request.as_bytes())).unwrap();
        let mut their_reply = vec![0; reply.len()];
        // Its connections are numbered otherwise, but with one digit too.
        theirs.read_exact(&mut their_reply).unwrap();
        let their_reply = String::from_utf8(their_reply).unwrap();
        assert_eq!(no_id_nor_version(&reply), no_id_nor_version(&their_reply), "{request}");
    }
}

fn no_id_nor_version(reply: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = reply.split("\r\n").collect();
    for key in ["id", "version"] {
        if let Some(at) = lines.iter().position(|line| *line == key) {
            let _ = lines.splice(at + 1..at + 3, []);
        }
    }
    lines
}
