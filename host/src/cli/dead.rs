//! `meshtrace dead`: what nobody took, and what to do about it.

mod table;
mod text;

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{print, runtime, sources, with_settings_of};
use crate::config::{Config, SourceConfig, Values};
use crate::source::redis::dead::{Burial, DeadLetters, Index, Known, Whole};
use text::{count, readable};

/// Dead letters that are fetched and printed at a time.
const SHOWN_AT_ONCE: usize = 100;

/// The settings that say which Redis and which stream.
const SETTINGS: [&str; 6] = ["redis_url", "redis_tls_ca", "redis_tls_cert", "redis_tls_key", "redis_tls_skip_verify", "stream"];

/// The command, for the command line.
pub(super) fn command() -> Command {
    let about = |name: &'static str, about: &'static str| with_settings_of(Command::new(name).about(about), |key| SETTINGS.contains(&key));
    let value = |name: &'static str, value: &'static str, help: &'static str| Arg::new(name).long(name).value_name(value).help(help);
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let ids = Arg::new("id").value_name("ID").num_args(1..).required_unless_present("all").conflicts_with("all");
    let ids = ids.help("A trace id, or the id of a dead letter: all dead letters of its trace go with it");
    let plugin = |help| value("plugin", "NAME", help);
    let all_of_plugin = || plugin("With --all: only what this plugin refused").conflicts_with("id");
    Command::new("dead")
        .about("Entries that nobody took: the dead letters")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            about("list", "A line for each trace and reason, the latest last")
                .arg(plugin("Only what this plugin refused"))
                .arg(value("stage", "STAGE", "Only what this stage gave up: decode, export, ..."))
                .arg(value("limit", "N", "Only the latest N").value_parser(value_parser!(usize)))
                .arg(flag("json", "A JSON object on each line, for scripts")),
        )
        .subcommand(
            about("show", "All fields of a trace's dead letters")
                .arg(Arg::new("id").value_name("ID").required(true).help("A trace id, or the id of a dead letter")),
        )
        .subcommand(
            about("retry", "Put entries back on the stream, to be decided and exported anew")
                .arg(ids.clone())
                .arg(flag("all", "All there are"))
                .arg(all_of_plugin()),
        )
        .subcommand(
            about("drop", "Remove dead letters for good")
                .arg(ids)
                .arg(flag("all", "All there are; needs --yes"))
                .arg(all_of_plugin())
                .arg(flag("yes", "With --all: do it").conflicts_with("id")),
        )
}

/// Runs one of the subcommands.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    let config = Config::new(&Values::new(sources(matches)?)?)?;
    let redis = match config.source {
        SourceConfig::Redis(redis) => redis,
        SourceConfig::Embedded { address, .. } => {
            bail!(
                "REDIS_URL=embedded://{address}: an embedded listener keeps no dead letters (its /trace/status names the last entries that it gave up); expected a Redis"
            )
        }
    };
    runtime()?.block_on(async {
        let mut dead = DeadLetters::connect(&redis).await?;
        let index = dead.index().await?;
        match name {
            "list" => list(&dead, &index, matches),
            "show" => show(&mut dead, &index, matches).await,
            "retry" => retry(&mut dead, &index, matches).await,
            "drop" => drop_letters(&mut dead, &index, matches).await,
            other => bail!("there is no command `dead {other}`"),
        }
    })
}

fn list(dead: &DeadLetters, index: &Index, matches: &ArgMatches) -> anyhow::Result<()> {
    let is = |key: &str, value: Option<&str>| matches.get_one::<String>(key).is_none_or(|wanted| value == Some(wanted.as_str()));
    let matching = |burial: &&Burial| is("plugin", burial.plugin.as_deref()) && is("stage", Some(&burial.stage));
    let mut burials: Vec<&Burial> = index.burials().iter().filter(matching).collect();
    if let Some(limit) = matches.get_one::<usize>("limit") {
        burials.drain(..burials.len().saturating_sub(*limit));
    }
    if matches.get_flag("json") {
        return print(&burials.iter().map(|burial| format!("{}\n", table::json(burial))).collect::<String>());
    }
    print(&table::table(&burials))?;
    print(&table::total(dead.dead_stream(), index, burials.len()))
}

async fn show(dead: &mut DeadLetters, index: &Index, matches: &ArgMatches) -> anyhow::Result<()> {
    let (wholes, unknown) = chosen(index, matches);
    refuse_unknown(dead, &unknown)?;
    for whole in wholes {
        let ids: Vec<String> = whole.letters.iter().map(Known::id).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        for ids in ids.chunks(SHOWN_AT_ONCE) {
            let letters = dead.letters(ids).await?;
            print(&letters.iter().map(text::letter).collect::<String>())?;
        }
    }
    Ok(())
}

/// Trace by trace, each in one step: wherever this is cut off, asking again goes on from there.
async fn retry(dead: &mut DeadLetters, index: &Index, matches: &ArgMatches) -> anyhow::Result<()> {
    let (wholes, unknown) = chosen(index, matches);
    let mut put = 0;
    for whole in &wholes {
        let able: Vec<String> = whole.letters.iter().filter(|letter| letter.hindrance().is_none()).map(Known::id).collect();
        let able: Vec<&str> = able.iter().map(String::as_str).collect();
        let before = || format!("put {} back; asking again goes on from there", count(put, "entry", "entries"));
        put += dead.retry(&able).await.with_context(before)?;
    }
    print(&format!("put {} back on {}\n", count(put, "entry", "entries"), dead.stream()))?;
    refuse_hindered(&wholes)?;
    refuse_unknown(dead, &unknown)
}

async fn drop_letters(dead: &mut DeadLetters, index: &Index, matches: &ArgMatches) -> anyhow::Result<()> {
    let (wholes, unknown) = chosen(index, matches);
    let ids: Vec<String> = wholes.iter().flat_map(|whole| &whole.letters).map(Known::id).collect();
    let letters = |number| count(number, "dead letter", "dead letters");
    if matches.get_flag("all") && !matches.get_flag("yes") {
        bail!("--all would remove {} for good; add --yes to do it", letters(ids.len()));
    }
    let removed = dead.remove(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    print(&format!("removed {}\n", letters(removed)))?;
    refuse_unknown(dead, &unknown)
}

/// What the command line names, whole; and the names that name nothing.
fn chosen<'a>(index: &Index, matches: &'a ArgMatches) -> (Vec<Whole>, Vec<&'a str>) {
    let Some(names) = matches.get_many::<String>("id") else {
        let plugin = matches.get_one::<String>("plugin");
        return (index.whole(index.burials().iter().filter(|burial| plugin.is_none() || plugin == burial.plugin.as_ref())), Vec::new());
    };
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        let as_printed = |burial: &Burial| burial.trace().is_some_and(|trace| readable(trace.to_string().as_bytes()) == *name);
        match index.burials().iter().find(|burial| burial.is_called(name) || as_printed(burial)) {
            Some(burial) => found.push(burial),
            None => unknown.push(name.as_str()),
        }
    }
    (index.whole(found), unknown)
}

fn refuse_unknown(dead: &DeadLetters, unknown: &[&str]) -> anyhow::Result<()> {
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = unknown.iter().map(|name| readable(name.as_bytes())).collect();
    bail!("{} has no dead letter and no trace called {}; `meshtrace dead list` shows which there are", dead.dead_stream(), names.join(", "))
}

fn refuse_hindered(wholes: &[Whole]) -> anyhow::Result<()> {
    let hindered: Vec<String> = wholes
        .iter()
        .flat_map(|whole| &whole.letters)
        .filter_map(|letter| Some(format!("{} stays a dead letter: {}", letter.id(), letter.hindrance()?)))
        .collect();
    if hindered.is_empty() {
        return Ok(());
    }
    bail!("{}\n`meshtrace dead drop ID` removes what is not wanted any more", hindered.join("\n"))
}
