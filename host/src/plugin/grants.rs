//! What a plugin may do besides reading traces and logging: nothing, unless granted.

use std::path::PathBuf;

use anyhow::Context;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use super::logging::{Log, LogStream};

/// Random bytes that a guest may ask for at once. More than any wants: a seed has 32.
const RANDOM_BYTES: u64 = 1024 * 1024;

/// What is granted to one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Whether its standard output is the host's. Otherwise what it writes goes to the log, under its name.
    pub stdout: bool,
    /// Directories that it sees.
    pub dirs: Vec<DirGrant>,
    /// Environment variables of the host that it sees.
    pub env: Vec<String>,
    /// Where it may send HTTP requests.
    pub http: Vec<HttpGrant>,
}

/// A directory that a plugin sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirGrant {
    /// Where it is.
    pub host: PathBuf,
    /// What the plugin calls it.
    pub guest: String,
    /// Whether it may write there.
    pub write: bool,
}

/// A host and port that a plugin may send HTTP requests to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    /// A name or an IP address, lower case, without brackets. What is granted by address may be a loopback, link-local or private one.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the name may lead to this machine or into a private network too. Link-local addresses are granted by address only.
    pub private: bool,
}

impl HttpGrant {
    /// Understands `host:port`, an IPv6 address in brackets.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str, private: bool) -> anyhow::Result<HttpGrant> {
        let (host, port) = super::http::host_and_port(text)
            .context("expected a host or an address with a port, such as \"api.example.com:443\", \"10.0.0.7:4318\" or \"[::1]:4318\"")?;
        Ok(HttpGrant { host, port, private })
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        let HttpGrant { host, port, private: _ } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// As an entry of `http` in `[permissions]`.
    pub(super) fn entry(&self) -> String {
        let authority = self.authority();
        if self.private { format!("{{ host = {authority:?}, private = true }}") } else { format!("{authority:?}") }
    }
}

impl DirGrant {
    /// As an entry of `dirs` in `[permissions]`.
    pub(super) fn entry(&self) -> String {
        let DirGrant { host, guest, write } = self;
        let named = if *guest == host.to_string_lossy() { String::new() } else { format!(", as = {guest:?}") };
        let access = if *write { ", access = \"write\"" } else { "" };
        format!("{{ path = {host:?}{named}{access} }}")
    }
}

impl Grants {
    /// A WASI context with just this.
    pub(super) fn context(&self, plugin: &str, log: &Log) -> anyhow::Result<WasiCtx> {
        let mut builder = WasiCtxBuilder::new();
        builder.max_random_size(RANDOM_BYTES);
        // Each instance has a thread of its own, so its file operations may as well block it: handing each to another thread costs more than most
        // of them. The price is that a file operation which hangs (a named pipe, a file server that is away) is not ended by the call's time limit. See
        // `writing.rs` for what that spares us.
        builder.allow_blocking_current_thread(true);
        if self.stdout {
            builder.inherit_stdout();
        } else {
            builder.stdout(LogStream::stdout(log));
        }
        builder.stderr(LogStream::stderr(log));
        for name in &self.env {
            // An instance keeps what it began with. What is not set is not set for the plugin either.
            if let Ok(value) = std::env::var(name) {
                builder.env(name, value);
            }
        }
        for dir in &self.dirs {
            let opened =
                builder.preopened_dir(&dir.host, &dir.guest, if dir.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly }).map(drop);
            opened
                .map_err(anyhow::Error::from)
                .with_context(|| format!("plugin {plugin:?}: the directory {} cannot be opened", dir.host.display()))?;
        }
        Ok(builder.build())
    }
}
