//! A redis-server of the test's own.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use redis::streams::{StreamInfoConsumersReply, StreamInfoGroupsReply, StreamPendingCountReply, StreamRangeReply};
use redis::{Commands, Connection, Value};
use tempfile::TempDir;

use super::clock::Clock;
use super::{eventually, free_port};

/// A redis-server on a free port, gone with this value.
pub struct RedisServer {
    process: Child,
    pub port: u16,
    /// What follows `redis://` in its URL.
    pub path: String,
    pub dir: TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// The documented stream and group.
pub const STREAM: &str = "mesh:trace";
pub const GROUP: &str = "mcp-mesh-registry-processors";
/// The dead-letter stream beside it.
pub const DEAD: &str = "{mesh:trace}:dead";

impl RedisServer {
    /// Without persistence, with these further arguments.
    pub fn start_with(arguments: &[&str]) -> RedisServer {
        RedisServer::start_in(Vec::new(), arguments)
    }

    /// Without persistence, with this clock.
    pub fn start_by(clock: &Clock) -> RedisServer {
        RedisServer::start_in(clock.environment(), &[])
    }

    fn start_in(environment: Vec<(String, String)>, arguments: &[&str]) -> RedisServer {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let arguments: Vec<String> =
            arguments.iter().map(|argument| (*argument).replace("{dir}", &dir.path().display().to_string())).collect();
        let process = spawn(port, &dir, &arguments, &environment);
        let path = format!("127.0.0.1:{port}/");
        let server = RedisServer {
            process,
            port,
            path,
            dir,
            arguments,
            environment,
        };
        server.wait_until_up();
        server
    }

    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    fn wait_until_up(&self) {
        eventually("redis-server listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.path)
    }

    /// A connection; `None` when the server is not there, or still loading.
    pub fn try_connect(&self) -> Option<Connection> {
        let mut connection = redis::Client::open(self.url()).expect("a URL").get_connection().ok()?;
        redis::cmd("PING").query::<String>(&mut connection).ok()?;
        Some(connection)
    }

    pub fn connect(&self) -> Connection {
        eventually("redis-server answers", || self.try_connect())
    }

    /// The list of its clients.
    pub fn clients(&self) -> String {
        redis::cmd("CLIENT").arg("LIST").query(&mut self.connect()).expect("CLIENT LIST")
    }

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again, on the same port and files.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.arguments, &self.environment);
        self.wait_until_up();
    }

    pub fn signal(&self, signal: i32) {
        super::signal(self.process.id(), signal);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, dir: &TempDir, arguments: &[String], environment: &[(String, String)]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(dir.path()).args(arguments);
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("redis-server starts (cargo xtask setup installs it)")
}

/// Entries of the documented stream that are pending in the group.
pub fn pending(connection: &mut Connection, group: &str) -> usize {
    pending_in(connection, STREAM, group)
}

/// Entries pending in the group of this stream; none when there is no such group.
pub fn pending_in(connection: &mut Connection, stream: &str, group: &str) -> usize {
    let reply: redis::RedisResult<Value> = redis::cmd("XPENDING").arg(stream).arg(group).query(connection);
    match reply {
        Ok(Value::Array(parts)) => match parts.first() {
            Some(Value::Int(count)) => *count as usize,
            _ => 0,
        },
        _ => 0,
    }
}

/// Entries that the group has not been given yet.
pub fn undelivered(connection: &mut Connection, group: &str) -> usize {
    let groups: StreamInfoGroupsReply = match connection.xinfo_groups(STREAM) {
        Ok(groups) => groups,
        Err(_) => return usize::MAX,
    };
    groups.groups.iter().find(|own| own.name == group).and_then(|own| own.lag).unwrap_or(usize::MAX)
}

/// The fields of every dead letter.
pub fn dead_letters(connection: &mut Connection) -> Vec<BTreeMap<String, String>> {
    let reply: redis::streams::StreamRangeReply = connection.xrange_all(DEAD).expect("XRANGE");
    let text = |value| redis::from_redis_value(value).expect("a text");
    reply.ids.into_iter().map(|entry| entry.map.into_iter().map(|(key, value)| (key, text(value))).collect()).collect()
}

/// Waits until the group has been given everything, and has acknowledged it.
#[track_caller]
pub fn wait_until_settled(connection: &mut Connection, group: &str) {
    eventually("everything is acknowledged", || (undelivered(connection, group) == 0 && pending(connection, group) == 0).then_some(()));
}

/// What is pending in the documented group: entry, consumer, number of deliveries.
pub fn pending_rows(connection: &mut Connection) -> Vec<(String, String, u64)> {
    let reply: StreamPendingCountReply = connection.xpending_count(STREAM, GROUP, "-", "+", 100_000).expect("XPENDING");
    reply.ids.into_iter().map(|row| (row.id, row.consumer, row.times_delivered as u64)).collect()
}

/// The names of the documented group's consumers.
pub fn consumers(connection: &mut Connection) -> Vec<String> {
    let reply: StreamInfoConsumersReply = connection.xinfo_consumers(STREAM, GROUP).expect("XINFO CONSUMERS");
    reply.consumers.into_iter().map(|consumer| consumer.name).collect()
}

/// The ids of the stream's entries.
pub fn entry_ids(connection: &mut Connection) -> Vec<String> {
    let reply: StreamRangeReply = connection.xrange_all(STREAM).expect("XRANGE");
    reply.ids.into_iter().map(|entry| entry.id).collect()
}

/// Makes the documented group, from the stream's first entry on.
pub fn make_group(connection: &mut Connection) {
    connection.xgroup_create_mkstream::<_, _, _, ()>(STREAM, GROUP, "0").expect("XGROUP CREATE");
}

/// Changes a setting of the running server.
pub fn configure(connection: &mut Connection, key: &str, value: &str) {
    redis::cmd("CONFIG").arg("SET").arg(key).arg(value).exec(connection).expect("CONFIG SET");
}
