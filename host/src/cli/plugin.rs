//! `meshtrace plugin`: the plugins there are, and whether one is any good.

mod check;

use clap::{Arg, ArgMatches, Command};

use super::{print, sources, with_settings_of};
use crate::config::{Config, Values};
use crate::plugin::{Bundled, Found, Library, Source};

/// The command, for the command line.
pub(super) fn command() -> Command {
    let about = |name: &'static str, about: &'static str| with_settings_of(Command::new(name).about(about), |key| key == "plugin_dir");
    let which = Arg::new("plugin").value_name("FILE|NAME").required(true);
    let which = which.help("A component or its .toml; or the name of a plugin in the plugin directory, or of a bundled one");
    Command::new("plugin")
        .about("Plugins")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(about("list", "The plugins there are"))
        .subcommand(about("check", "What a plugin is and wants, and whether this host takes it; does not run it").arg(which))
}

/// Runs one of the subcommands.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    let config = Config::new(&Values::new(sources(matches)?)?)?;
    let mut library = Library::new(config.exporters.plugin_dir.as_deref());
    if name == "list" {
        return list(&mut library);
    }
    // Required: the parser has seen to it.
    let Some(which) = matches.get_one::<String>("plugin") else { return Ok(()) };
    check::run(which, &mut library, &config.exporters)
}

/// A line for each plugin; what is wrong with a `.toml` follows, indented.
fn list(library: &mut Library) -> anyhow::Result<()> {
    let found = library.look()?;
    let mut text = String::new();
    for name in Library::names(&found) {
        let own = found.get(&name);
        text += &format!("{name:<20} {}\n", own.map_or_else(|| "bundled".to_owned(), |found| origin(&name, found)));
        if let Some(Err(problem)) = own.map(|found| &found.manifest) {
            text.extend(problem.lines().map(|line| format!("{:<22} {line}\n", "")));
        }
    }
    print(&text)
}

/// Where a plugin comes from that the plugin directory defines, and what keeps it from running.
fn origin(name: &str, found: &Found) -> String {
    let bundled = Bundled::names().any(|own| own == name);
    let origin = match &found.source {
        Source::Bundled(component) => format!("plugin directory, the bundled {component}"),
        Source::Missing(why) => format!("plugin directory, but {why}"),
        Source::File(_) if bundled => "plugin directory, instead of the bundled one".to_owned(),
        Source::File(_) => "plugin directory".to_owned(),
    };
    match &found.manifest {
        Err(_) => format!("{origin}; its .toml is not understood:"),
        Ok(manifest) if !manifest.enabled => format!("{origin}; not enabled"),
        Ok(_) => origin,
    }
}
