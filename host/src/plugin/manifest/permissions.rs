//! `[permissions]`: what it may do.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::plugin::{DirGrant, Grants, HttpGrant};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Permissions {
    #[serde(default)]
    stdout: bool,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default)]
    http: Vec<HttpEntry>,
    #[serde(default)]
    dirs: Vec<DirEntry>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"host:port\" or { host = \"host:port\", private = true }")]
enum HttpEntry {
    Short(String),
    Long(HttpLong),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpLong {
    host: String,
    #[serde(default)]
    private: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DirEntry {
    path: PathBuf,
    r#as: Option<String>,
    #[serde(default)]
    access: Access,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Access {
    #[default]
    Read,
    Write,
}

impl Permissions {
    /// The same as grants.
    ///
    /// # Errors
    /// What is not understood, and what is expected.
    pub fn grants(self) -> anyhow::Result<Grants> {
        let Permissions { stdout, env, http, dirs } = self;
        if let Some(wrong) = env.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            bail!("permissions.env has {wrong:?}: expected the name of an environment variable");
        }
        Ok(Grants {
            stdout,
            env,
            http: http.into_iter().map(HttpEntry::grant).collect::<anyhow::Result<_>>()?,
            dirs: dirs.into_iter().map(DirEntry::grant).collect::<anyhow::Result<_>>()?,
        })
    }
}

impl HttpEntry {
    fn grant(self) -> anyhow::Result<HttpGrant> {
        let (text, private) = match self {
            HttpEntry::Short(text) => (text, false),
            HttpEntry::Long(HttpLong { host, private }) => (host, private),
        };
        HttpGrant::parse(&text, private).with_context(|| format!("permissions.http has {text:?}"))
    }
}

impl DirEntry {
    fn grant(self) -> anyhow::Result<DirGrant> {
        let DirEntry { path, r#as, access } = self;
        if !path.is_absolute() {
            bail!("permissions.dirs has the path {}: expected an absolute path", path.display());
        }
        let guest = match r#as {
            Some(guest) if guest.starts_with('/') => guest,
            Some(guest) => bail!("permissions.dirs has as = {guest:?}: expected an absolute path, as the plugin is to see it"),
            None => path.to_str().context("permissions.dirs has a path that is not UTF-8: give it another name with `as`")?.to_owned(),
        };
        Ok(DirGrant {
            host: path,
            guest,
            write: access == Access::Write,
        })
    }
}
