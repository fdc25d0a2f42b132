//! Clients of Redis that agents publish with, as they are.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use redis::Commands;
use redis::streams::StreamMaxlen;
use serde_json::json;

use super::events::Fields;

/// A client of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// redis-py.
    Python,
    /// ioredis.
    Ioredis,
    /// node-redis.
    NodeRedis,
    /// redis-cli.
    Cli,
    /// The `redis` crate.
    Rust,
}

/// Where to publish.
#[derive(Debug, Clone)]
pub struct Target {
    /// The port on 127.0.0.1.
    pub port: u16,
    pub password: String,
    pub stream: String,
}

impl Publisher {
    /// All of them.
    pub const ALL: [Publisher; 5] = [Publisher::Python, Publisher::Ioredis, Publisher::NodeRedis, Publisher::Cli, Publisher::Rust];

    /// Publishes entries one after another; the ids that it was given. `None` where its packages have not been set up, which is an error on CI.
    #[track_caller]
    pub fn publish(self, target: &Target, entries: &[Fields]) -> Option<Vec<String>> {
        let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("tmp lies in the target directory");
        match self {
            Publisher::Python => {
                let python = target_dir.join("venv/bin/python");
                let mut probe = Command::new(&python);
                there("redis-py", probe.args(["-c", "import redis"]))
                    .then(|| through(Command::new(python).arg(script("publish.py")), target, entries))
            }
            Publisher::Ioredis => node(target_dir, "ioredis", target, entries),
            Publisher::NodeRedis => node(target_dir, "@redis/client", target, entries),
            Publisher::Cli => Some(entries.iter().map(|fields| cli(target, fields)).collect()),
            Publisher::Rust => Some(rust(target, entries)),
        }
    }
}

impl Target {
    fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/support")).join(name)
}

/// Whether a client's packages are there.
fn there(name: &str, probe: &mut Command) -> bool {
    let found = probe.env("PYTHONDONTWRITEBYTECODE", "1").output().is_ok_and(|output| output.status.success());
    assert!(found || !super::on_ci(), "{name} is missing: cargo xtask setup installs it");
    if !found {
        eprintln!("left out: {name} is missing (cargo xtask setup)");
    }
    found
}

fn node(target_dir: &Path, package: &str, target: &Target, entries: &[Fields]) -> Option<Vec<String>> {
    let modules = target_dir.join("node/node_modules");
    let mut probe = Command::new("node");
    probe.args(["-e", &format!("require('{package}')")]).env("NODE_PATH", &modules);
    let mut publish = Command::new("node");
    publish.arg(script("publish.cjs")).arg(package).env("NODE_PATH", &modules);
    there(package, &mut probe).then(|| through(&mut publish, target, entries))
}

/// Hands the entries to a program, which prints the ids.
#[track_caller]
fn through(program: &mut Command, target: &Target, entries: &[Fields]) -> Vec<String> {
    let object = |fields: &Fields| fields.iter().map(|(key, value)| (key.clone(), json!(value))).collect::<serde_json::Map<_, _>>();
    let asked = json!({"url": target.url(), "stream": target.stream, "entries": entries.iter().map(object).collect::<Vec<_>>()});
    let mut process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    process.stdin.take().expect("a pipe").write_all(asked.to_string().as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    serde_json::from_str(&text(&output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn cli(target: &Target, fields: &Fields) -> String {
    let mut cli = Command::new("redis-cli");
    cli.args(["-p", &target.port.to_string(), "XADD", &target.stream, "MAXLEN", "~", "100000", "*"]);
    cli.args(fields.iter().flat_map(|(key, value)| [key, value])).env("REDISCLI_AUTH", &target.password);
    text(&cli.output().expect("redis-cli, which the project's set-up installs"))
}

fn rust(target: &Target, entries: &[Fields]) -> Vec<String> {
    let mut connection = redis::Client::open(target.url()).and_then(|client| client.get_connection()).expect("a connection");
    let add = |fields: &Fields| connection.xadd_maxlen(&target.stream, StreamMaxlen::Approx(100_000), "*", fields).expect("XADD");
    entries.iter().map(add).collect()
}
