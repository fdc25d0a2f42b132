//! A redis-server of a test's own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Without a port or files; gone with this value.
pub(super) struct Server {
    process: Child,
    dir: TempDir,
}

impl Server {
    pub(super) fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(dir.path().join("redis.sock"));
        let process =
            command.current_dir(dir.path()).stdout(Stdio::null()).spawn().expect("redis-server, which the project's set-up installs");
        let server = Server { process, dir };
        let since = Instant::now();
        // It tells nobody when it listens.
        while std::os::unix::net::UnixStream::connect(server.dir.path().join("redis.sock")).is_err() {
            assert!(since.elapsed() < Duration::from_secs(60), "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    pub(super) fn url(&self) -> String {
        format!("redis+unix://{}", self.dir.path().join("redis.sock").display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
