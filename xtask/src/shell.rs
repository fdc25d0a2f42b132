//! Where things are, and how other programs are run.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The repository's root, whatever folder the command was given in.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the repository's root")
}

/// Cargo's target directory, absolute: nested commands run in other folders than this one.
pub fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => env::current_dir().unwrap_or_default().join(dir),
        None => root().join("target"),
    }
}

/// A cargo command in a folder of the repository, as if it had been typed there.
pub fn cargo_in(folder: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root().join(folder));
    // What the cargo that runs us says about xtask must not reach the build scripts of other crates.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    if env::var_os("CARGO_TARGET_DIR").is_some() {
        // Guests are a workspace of their own, and two workspaces in one target directory overwrite each other's files.
        let dir = target_dir();
        command.env("CARGO_TARGET_DIR", if folder.is_empty() { dir } else { dir.join(folder) });
    }
    command
}

/// A cargo command in the repository's root.
pub fn cargo() -> Command {
    cargo_in("")
}

/// Runs a command with our stdout and stderr, and fails when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", describe(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs a command that prints much, and shows what it printed only when it fails.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start `{}`", describe(command)))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("`{}` failed ({}):\n{}", describe(command), output.status, String::from_utf8_lossy(&text).trim());
    }
    Ok(())
}

/// Whether a command runs and succeeds; what it prints is not shown.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The command line as a person would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// Whether a program is on the PATH.
pub fn has_program(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

/// On CI nothing may be left out for want of a tool.
pub fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

fn quote(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '"', '\'', '$', '*']) { format!("'{word}'") } else { word.to_owned() }
}
