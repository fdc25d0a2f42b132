//! A redis-server of the test's own.

use std::process::{Child, Command, Stdio};

use redis::{Commands, Connection, Value};
use tempfile::TempDir;

use super::{eventually, free_port};

/// A redis-server on a free port, gone with this value.
pub struct RedisServer {
    process: Child,
    pub port: u16,
    pub dir: TempDir,
    arguments: Vec<String>,
}

/// The documented stream and group.
pub const STREAM: &str = "mesh:trace";
pub const GROUP: &str = "mcp-mesh-registry-processors";
/// The dead-letter stream beside it.
pub const DEAD: &str = "{mesh:trace}:dead";

impl RedisServer {
    /// Without persistence, with these further arguments.
    pub fn start_with(arguments: &[&str]) -> RedisServer {
        let dir = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let arguments: Vec<String> =
            arguments.iter().map(|argument| (*argument).replace("{dir}", &dir.path().display().to_string())).collect();
        let process = spawn(port, &dir, &arguments);
        let server = RedisServer { process, port, dir, arguments };
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
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn connect(&self) -> Connection {
        eventually("redis-server answers", || {
            let mut connection = redis::Client::open(self.url()).expect("a URL").get_connection().ok()?;
            redis::cmd("PING").query::<String>(&mut connection).ok()?;
            Some(connection)
        })
    }

    /// Kills the server without warning.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again, on the same port and files.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.arguments);
        self.wait_until_up();
    }

    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(port: u16, dir: &TempDir, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(dir.path()).args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("redis-server starts (cargo xtask setup installs it)")
}

/// Entries pending in the group.
pub fn pending(connection: &mut Connection, group: &str) -> usize {
    let reply: redis::RedisResult<Value> = redis::cmd("XPENDING").arg(STREAM).arg(group).query(connection);
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
    let groups: redis::streams::StreamInfoGroupsReply = match connection.xinfo_groups(STREAM) {
        Ok(groups) => groups,
        Err(_) => return usize::MAX,
    };
    groups.groups.iter().find(|own| own.name == group).and_then(|own| own.lag).unwrap_or(usize::MAX)
}
