//! The command line.

mod dead;
mod plugin;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::config::{Config, FILE_VARIABLE, SETTINGS, SourceConfig, Sources, Values};
use crate::demo;

/// Runs the command; the exit code says whether it did what it was asked.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let done = match matches.subcommand() {
        Some(("config", matches)) => sources(matches).and_then(show_config),
        Some(("dead", matches)) => dead::run(matches),
        Some(("demo", matches)) => sources(matches).and_then(|sources| demo_mode(sources, matches.get_flag("once"))),
        Some(("plugin", matches)) => plugin::run(matches),
        Some(("run", matches)) => sources(matches).and_then(run),
        // The parser has seen to it that there is one, and that it is one of these.
        _ => Err(anyhow!("there is no command {:?}", matches.subcommand_name().unwrap_or_default())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meshtrace: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let once = Arg::new("once").long("once").action(ArgAction::SetTrue).help("End after one pass over the captured events");
    Command::new("meshtrace")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Span events of MCP Mesh agents to traces, through WebAssembly exporters")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(Command::new("run").about("Read events, export traces, answer queries")))
        .subcommand(with_settings(Command::new("demo").about("All of it on captured events, without Redis and agents")).arg(once))
        .subcommand(with_settings(Command::new("config").about("Print the settings in force and where each comes from")))
        .subcommand(dead::command())
        .subcommand(plugin::command())
}

/// Every setting as a flag.
fn with_settings(command: Command) -> Command {
    with_settings_of(command, |_| true)
}

/// The settings with a `wanted` key as flags; a command has those that do something for it.
fn with_settings_of(command: Command, wanted: impl Fn(&str) -> bool) -> Command {
    let config = Arg::new("config-file")
        .long("config")
        .value_name("FILE")
        .help(format!("Configuration file [default: meshtrace.toml, if there is one] [env: {FILE_VARIABLE}]"));
    SETTINGS.iter().filter(|setting| wanted(setting.key)).fold(command.arg(config), |command, setting| {
        let default = if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
        let help = format!("{}{default} [env: {}]", setting.help, setting.env);
        let flag = Arg::new(setting.key).long(setting.flag()).value_name("VALUE").help(help);
        command.arg(if setting.is_boolean() { flag.num_args(0..=1).default_missing_value("true") } else { flag })
    })
}

/// The variables that are text. One of ours that is not is named only: its value may be a secret.
fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<BTreeMap<String, String>> {
    let ours = |name: &str| name == FILE_VARIABLE || SETTINGS.iter().any(|setting| setting.env == name);
    let mut environment = BTreeMap::new();
    for (key, value) in variables {
        let Ok(key) = key.into_string() else { continue };
        match value.into_string() {
            Ok(value) => drop(environment.insert(key, value)),
            Err(_) if ours(&key) => bail!("{key}: its value is not text; expected UTF-8"),
            Err(_) => {}
        }
    }
    Ok(environment)
}

fn sources(matches: &ArgMatches) -> anyhow::Result<Sources> {
    let environment = environment(std::env::vars_os())?;
    // Not every command has every setting as a flag.
    let given = |key| matches.try_get_one::<String>(key).ok().flatten().cloned();
    let flags = SETTINGS.iter().filter_map(|setting| Some((setting.key, given(setting.key)?))).collect();
    let file = matches.get_one::<String>("config-file").or_else(|| environment.get(FILE_VARIABLE)).map(PathBuf::from);
    let mut sources = Sources { environment, flags, ..Sources::default() };
    sources.read_file(file.as_deref())?;
    Ok(sources)
}

fn show_config(sources: Sources) -> anyhow::Result<()> {
    let values = Values::new(sources)?;
    print(&values.describe())?;
    Config::new(&values).map(drop)
}

fn run(sources: Sources) -> anyhow::Result<()> {
    let config = Config::new(&Values::new(sources)?)?;
    start_log(&config.log)?;
    to_its_end(async {
        let what = match &config.source {
            _ if !config.enabled => "nothing (MCP_MESH_DISTRIBUTED_TRACING_ENABLED=false)".to_owned(),
            SourceConfig::Redis(redis) => format!("stream {}", redis.stream),
            SourceConfig::Embedded { stream, .. } => format!("stream {stream}, written to the embedded listener"),
        };
        let mut app = App::start(config).await?;
        tracing::info!("meshtrace {} reads {what}; API on {}", env!("CARGO_PKG_VERSION"), app.api_url);
        let ended = app.run_until(stop_signal()).await;
        let stopped = app.stop().await;
        ended.and(stopped)
    })
}

fn demo_mode(mut sources: Sources, once: bool) -> anyhow::Result<()> {
    sources.defaults = demo::defaults();
    demo::NOT_FOR_THE_DEMO.iter().for_each(|variable| drop(sources.environment.remove(*variable)));
    let config = Config::new(&Values::new(sources)?)?;
    start_log(&config.log)?;
    to_its_end(async { demo::run(config, once, stop_signal()).await })
}

/// Prints to standard output, for people and scripts. Whoever stops reading has read enough: `println!` would panic.
///
/// # Errors
/// What else keeps standard output from being written.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output cannot be written"),
    }
}

/// Runs a host. At its end nobody waits for a plugin that is still being compiled or started.
fn to_its_end(host: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let ended = runtime.block_on(host);
    runtime.shutdown_background();
    ended
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// The log goes to standard error: standard output is the console exporter's.
fn start_log(filter: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        anyhow!(
            "MESHTRACE_LOG={filter}: expected error, warn, info, debug, trace or a filter such as info,meshtrace::source=debug ({error})"
        )
    })?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    Ok(())
}

/// Ctrl-C or SIGTERM. Handlers are in place as soon as this is called.
fn stop_signal() -> impl Future<Output = ()> {
    let signals = signal(SignalKind::interrupt()).and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    async move {
        match signals {
            Ok((mut interrupt, mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "signals cannot be watched; only a kill will end this");
                std::future::pending().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_variable_of_ours_that_is_no_text_is_named_without_its_value() {
        let given = |name: &str| environment([(name.into(), OsString::from_vec(b"hush\xff".to_vec()))].into_iter());
        for name in ["REDIS_URL", "MESHTRACE_API_TOKEN", FILE_VARIABLE] {
            let error = given(name).expect_err("a refusal").to_string();
            assert_eq!(error, format!("{name}: its value is not text; expected UTF-8"));
        }
        assert!(given("LS_COLORS").expect("not ours").is_empty());
    }
}
