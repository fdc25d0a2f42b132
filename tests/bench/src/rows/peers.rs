//! What others take for the same spans, side by side with a host.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Bench, Peer, Row};
use crate::load::{SPANS, is_remarkable, trace_id};
use crate::measure::micros_each;
use crate::peers::{Collector, Contender, Cost, Job, Keep, Loss, Own, Registry, cost, loss, version};
use crate::policies::KEPT;
use crate::report::{Figure, Target};

pub const ROWS: &[Row] = &[
    Row {
        name: "peer-otelcol",
        about: "an OpenTelemetry Collector that samples whole traces, and a host that does: processor time, memory, and one kill -9",
        peer: Some(Peer::Otelcol),
        run: otelcol,
    },
    Row {
        name: "peer-registry",
        about: "MCP Mesh's registry, which writes a file for each trace, and a host that does: the same three",
        peer: Some(Peer::Registry),
        run: registry,
    },
];

/// Traces that a Collector and a host are given, of five spans each. All are held until the last has come.
const SAMPLED: u64 = 20_000;
/// How long traces are waited for: long enough for all to come meanwhile.
const WINDOW: Duration = Duration::from_secs(30);
/// Traces that a registry and a host are given. It decides once a minute, so as many come within that.
const WRITTEN: u64 = 10_000;

fn otelcol(bench: &mut Bench) -> Result<Vec<Figure>> {
    let binary = bench.options.otelcol.clone().context("--peer-otelcol says which")?;
    let peer = measure("Collector", SAMPLED, &|keep| Ok(Box::new(Collector::start(&binary, keep, WINDOW, SAMPLED)?)))?;
    let own = measure(OWN, SAMPLED, &|keep| Ok(Box::new(Own::start(Job::Sample(keep), WINDOW)?)))?;
    check_sampled(&peer.cost).context("the Collector")?;
    check_sampled(&own.cost).context("meshtrace")?;
    ensure!(own.loss.lost == 0, "meshtrace has lost {} traces", own.loss.lost);
    let [theirs, ours] = [&peer, &own].map(|pair| &pair.cost.handed_on);
    let same = if theirs == ours { "the same traces" } else { "NOT the same traces" };
    let note = format!("{}; of {SAMPLED} traces, {} and {} were kept: {same}", version(&binary)?, theirs.len(), ours.len());
    Ok(side_by_side("Collector", &peer, &own, &note))
}

fn registry(bench: &mut Bench) -> Result<Vec<Figure>> {
    let binary = bench.options.registry.clone().context("--peer-registry says which")?;
    // Neither samples.
    let peer = measure("registry", WRITTEN, &|_| Ok(Box::new(Registry::start(&binary)?)))?;
    let own = measure(OWN, WRITTEN, &|_| Ok(Box::new(Own::start(Job::Write, WINDOW)?)))?;
    check_whole(&peer.cost, WRITTEN).context("the registry")?;
    check_whole(&own.cost, WRITTEN).context("meshtrace")?;
    ensure!(own.loss.lost == 0, "meshtrace has lost {} traces", own.loss.lost);
    let note = format!("{}; {WRITTEN} traces of {SPANS} spans, each two events, a file per trace", version(&binary)?);
    Ok(side_by_side("registry", &peer, &own, &note))
}

const OWN: &str = "meshtrace";

/// What was measured of one of the two.
struct Pair {
    cost: Cost,
    loss: Loss,
}

fn measure(name: &str, traces: u64, start: &dyn Fn(Keep) -> Result<Box<dyn Contender>>) -> Result<Pair> {
    eprintln!("bench:   {name} …");
    let cost = cost(start(Keep::Some)?.as_mut(), traces)?;
    eprintln!("bench:   {name}, killed …");
    let loss = loss(start(Keep::All)?.as_mut(), traces)?;
    Ok(Pair { cost, loss })
}

/// Whether every trace that the policies keep for sure was handed on, all as wholes, and about as many of the others as they say.
fn check_sampled(cost: &Cost) -> Result<()> {
    let traces = cost.spans / SPANS;
    let missing = (0..traces).filter(|trace| is_remarkable(*trace) && !cost.handed_on.contains_key(&trace_id(*trace))).count();
    ensure!(missing == 0, "{missing} traces that failed or were slow were not handed on");
    let share = cost.handed_on.len() as f64 / traces as f64;
    ensure!(KEPT.contains(&share), "{share:.3} of the traces were handed on, which is not what the policies say");
    check_whole(cost, cost.handed_on.len() as u64)
}

fn check_whole(cost: &Cost, traces: u64) -> Result<()> {
    let whole = cost.handed_on.values().filter(|spans| **spans == SPANS).count() as u64;
    ensure!(whole == traces, "{whole} of {traces} traces were handed on as a whole");
    Ok(())
}

fn side_by_side(peer_name: &str, peer: &Pair, own: &Pair, note: &str) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (name, pair) in [(peer_name, peer), (OWN, own)] {
        let Pair { cost, loss } = pair;
        let with_log = cost.log_cpu.map_or(String::new(), |log| {
            let together = cost.spans as f64 / (cost.cpu + log).as_secs_f64();
            format!("; with the time of Redis {together:.0}")
        });
        figures.push(
            Figure::new(&format!("{peer_name} row, {name}: spans per CPU second"), cost.spans_per_cpu_second(), "")
                .cpu(micros_each(cost.cpu, cost.spans))
                .note(format!("others used {:.0} % of the machine, the bench among them{with_log}", cost.others * 100.0))
                .note(note.to_owned()),
        );
        let in_log = cost.log_bytes.map_or(String::new(), |bytes| format!("; Redis grew by {:.0} B", bytes as f64 / cost.spans as f64));
        figures.push(Figure::new(&format!("{peer_name} row, {name}: memory per span held"), cost.bytes_per_span(), "B").note(format!(
            "growth of the peak with {} spans held; at rest {:.0} B{in_log}",
            cost.spans,
            cost.rest_bytes as f64 / cost.spans as f64
        )));
        let lost = Figure::new(&format!("{peer_name} row, {name}: traces lost to one kill -9"), loss.lost as f64, "");
        let lost = if name == OWN { lost.target(Target::AtMost(0.0)) } else { lost };
        figures.push(lost.note(format!("of {}, of which {} were open at that moment", loss.traces, loss.open)));
    }
    figures
}
