//! What a plugin may do, and how much of it.

use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::go_duration::GoDuration;
use crate::plugin::{DirGrant, Grants, HttpGrant, Limit, Limits, Quantity, Record};

/// What is granted to a plugin, in the words of `NAME.toml`. Of its environment the names only.
#[derive(Serialize)]
pub(super) struct GrantsShown<'a> {
    stdout: bool,
    dirs: Vec<Dir<'a>>,
    env: &'a [String],
    http: Vec<Http>,
}

#[derive(Serialize)]
struct Dir<'a> {
    path: String,
    r#as: &'a str,
    access: &'static str,
}

#[derive(Serialize)]
struct Http {
    host: String,
    private: bool,
}

impl<'a> GrantsShown<'a> {
    pub fn of(grants: &'a Grants) -> Self {
        let Grants { stdout, dirs, env, http } = grants;
        let dir = |dir: &'a DirGrant| Dir {
            path: dir.host.display().to_string(),
            r#as: &dir.guest,
            access: if dir.write { "write" } else { "read" },
        };
        let host = |grant: &HttpGrant| Http {
            host: grant.authority(),
            private: grant.private,
        };
        GrantsShown {
            stdout: *stdout,
            dirs: dirs.iter().map(dir).collect(),
            env,
            http: http.iter().map(host).collect(),
        }
    }
}

/// Every limit by its key in `NAME.toml`: its value, written as there (`null` when nothing runs), and how often it was run into.
pub(super) struct LimitsShown<'a>(&'a Record);

impl<'a> LimitsShown<'a> {
    pub fn of(record: &'a Record) -> Self {
        LimitsShown(record)
    }
}

impl Serialize for LimitsShown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Record { loaded, counters, .. } = self.0;
        let limits = loaded.as_ref().map(|loaded| &loaded.manifest.limits);
        let shown =
            |(limit, hits): (Limit, u64)| (limit.as_str(), json!({"value": limits.map(|limits| value(limits, limit)), "hits": hits}));
        serializer.collect_map(counters.hits().map(shown))
    }
}

fn value(limits: &Limits, limit: Limit) -> Json {
    const UNITS: [(usize, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match limits.value(limit) {
        Quantity::Time(time) => GoDuration::from(time).to_string().into(),
        Quantity::Count(count) => count.into(),
        Quantity::Bytes(bytes) => {
            let unit = UNITS.into_iter().find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size));
            unit.map_or_else(|| format!("{bytes}B"), |(size, unit)| format!("{}{unit}", bytes / size)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Manifest;

    /// A default in `docs/PLUGINS.md` is the one in force, written as it is shown.
    #[test]
    fn documented_limits_are_those_of_the_code() {
        let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PLUGINS.md")).unwrap();
        for limit in Limit::ALL {
            let default = value(&Limits::default(), limit);
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let (name, unit) = (
                limit.as_str(),
                match Limits::default().value(limit) {
                    Quantity::Time(_) => "time",
                    Quantity::Bytes(_) => "bytes",
                    Quantity::Count(_) => "count",
                },
            );
            let row = format!("| `{name}` | {unit} | `{default}` |");
            assert!(document.lines().any(|line| line.starts_with(&row)), "no line begins with {row}");
        }
        let security = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SECURITY.md")).unwrap();
        assert_eq!(Limit::ALL.iter().find(|limit| !security.contains(&format!("`{}`", limit.as_str()))), None, "docs/SECURITY.md");
        let files: Vec<&str> = security.split('`').filter(|text| text.starts_with("tests/") || text.starts_with("host/")).collect();
        let missing = files.iter().find(|file| !std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file).exists());
        assert_eq!((missing, files.len() > 10), (None, true), "docs/SECURITY.md names what attacks");
    }

    /// What is shown can be set: each value stands in `NAME.toml` as it is.
    #[test]
    fn limits_are_written_as_they_are_set() {
        let set =
            "[limits]\ncall-time = \"1m30s\"\nmemory-bytes = \"3GiB\"\nlog-bytes-per-second = 1000\ntext-bytes = \"5KiB\"\nhandles = 7";
        let limits = Manifest::parse(set).unwrap().limits;
        let shown: Vec<(&str, Json)> = Limit::ALL.map(|limit| (limit.as_str(), value(&limits, limit))).into();
        let find = |name: &str| shown.iter().find(|(own, _)| *own == name).unwrap().1.clone();
        assert_eq!((find("call-time"), find("memory-bytes"), find("handles")), (json!("1m30s"), json!("3GiB"), json!(7)));
        assert_eq!((find("log-bytes-per-second"), find("text-bytes"), find("stack")), (json!("1000B"), json!("5KiB"), json!("512KiB")));
        let mut again = "[limits]\n".to_owned();
        for (name, value) in shown.iter().filter(|(name, _)| *name != Limit::Stack.as_str()) {
            again += &format!("{name} = {value}\n");
        }
        assert_eq!(Manifest::parse(&again).unwrap().limits, limits);
    }
}
