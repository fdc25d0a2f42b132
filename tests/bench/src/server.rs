//! A redis-server of the bench's own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use redis::{Connection, Value};
use tempfile::TempDir;

use crate::measure::Process;

/// The documented stream and group.
pub const STREAM: &str = "mesh:trace";
pub const GROUP: &str = "mcp-mesh-registry-processors";

/// A redis-server without persistence on a free port, gone with this value.
pub struct Server {
    process: Child,
    _dir: TempDir,
    pub port: u16,
}

/// What a consumer group has been given and has given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub read: u64,
    pub pending: u64,
}

impl Progress {
    pub fn acknowledged(self) -> u64 {
        self.read.saturating_sub(self.pending)
    }
}

impl Server {
    pub fn start() -> Result<Server> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(dir.path());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.context("redis-server does not start; cargo xtask setup installs it")?;
        let server = Server { process, _dir: dir, port };
        wait_until("redis-server answers", || Ok(server.connect().is_ok().then_some(())))?;
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// A connection for orders and questions.
    pub fn connect(&self) -> Result<Connection> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }

    /// A bare connection, for who writes and reads the protocol itself.
    pub fn socket(&self) -> Result<TcpStream> {
        let socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    pub fn process(&self) -> Process {
        Process(self.process.id())
    }

    /// Forgets the stream.
    pub fn empty(&self) -> Result<()> {
        redis::cmd("FLUSHALL").exec(&mut self.connect()?)?;
        Ok(())
    }

    /// Forgets everything but the stream's entries: whoever reads it next is the first to.
    pub fn forget_readers(&self) -> Result<()> {
        let mut connection = self.connect()?;
        let keys: Vec<String> = redis::cmd("KEYS").arg("{mesh:trace}:*").query(&mut connection)?;
        if !keys.is_empty() {
            redis::cmd("DEL").arg(keys).exec(&mut connection)?;
        }
        // An error means that there is no such group, or no stream.
        for group in [GROUP, "meshtrace"] {
            let _ = redis::cmd("XGROUP").arg("DESTROY").arg(STREAM).arg(group).exec(&mut connection);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How far the documented group is; nowhere, while it does not exist.
pub fn progress(connection: &mut Connection) -> Result<Progress> {
    // An error means that there is no stream yet.
    let Ok(groups) = redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query::<Vec<Vec<Value>>>(connection) else {
        return Ok(Progress::default());
    };
    let field = |group: &[Value], key: &str| {
        let mut pairs = group.chunks_exact(2);
        pairs.find(|pair| redis::from_redis_value_ref::<String>(&pair[0]).is_ok_and(|own| own == key)).map(|pair| pair[1].clone())
    };
    for group in groups {
        let name = field(&group, "name").and_then(|value| redis::from_redis_value::<String>(value).ok());
        if name.as_deref() == Some(GROUP) {
            let number = |key| field(&group, key).and_then(|value| redis::from_redis_value::<u64>(value).ok()).unwrap_or_default();
            return Ok(Progress {
                read: number("entries-read"),
                pending: number("pending"),
            });
        }
    }
    Ok(Progress::default())
}

/// Whether there is the documented group.
pub fn group_exists(connection: &mut Connection) -> Result<bool> {
    // An error means that there is no stream yet.
    let groups = redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query::<Vec<Vec<Value>>>(connection).unwrap_or_default();
    Ok(groups.iter().flatten().any(|value| redis::from_redis_value_ref::<String>(value).is_ok_and(|text| text == GROUP)))
}

/// A port that nobody listens on just now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits for something that takes seconds at most; `look` says what it is that has come.
pub fn wait_until<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_within(Duration::from_secs(60), what, look)
}

/// Waits for no longer than this.
pub fn wait_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begin.elapsed() > patience {
            bail!("waited {} s in vain: {what}", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
