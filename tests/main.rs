//! Whole-host tests: the real binary, a real redis-server, real files. Each test starts its own servers on free ports and leaves nothing behind.
//!
//! Test names are claims. Nothing sleeps where a condition can be waited for.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

/// Sampling and redact, as operators run them.
mod bundled_filters;
/// The captured events, from XADD to files and answers.
mod captured;
/// Wall clocks that are set, ahead and back.
mod clock_jumps;
/// Compiled plugins on disk, and what of it is believed.
mod compiled;
/// Connections: TLS, passwords, other streams, and what breaks them.
mod connection;
/// Trees, lines and colours on standard output, and what never gets there.
mod console;
/// What nobody took is looked at, or removed.
mod dead_command;
/// Entries that nobody can decode.
mod dead_letters;
/// What nobody took is tried again.
mod dead_retry;
/// Where plugins may send requests over HTTP.
mod egress;
/// Single faults of Redis, the wire, exporters and disks.
mod faults;
/// What filters drop, keep and change, and what happens when they fail.
mod filters;
/// Guests that look around: environment, network, files.
mod grants;
/// Who else reads our consumer group.
mod groups;
/// The plugin directory, changed while traces flow.
mod hot_reload;
/// The API's shapes, pages, refusals and bounds.
mod http;
/// Clients of the API that are slow, greedy or hostile; its token and TLS.
mod http_under_fire;
/// Files and lines of JSON, whatever ids, repeats and directories do.
mod json_files;
/// Kills, and what is found after them.
mod kills;
/// Guests that a trace drives into a limit, all at once, beside others that do not notice.
mod limits;
/// Guests that do harm beside the traces, all at once, beside others that do not notice.
mod mischief;
/// What an operator sees of plugins.
mod operator;
/// Traces to a collector, decoded by OpenTelemetry's own packages.
mod otlp;
/// What a collector refuses, delays or takes in part.
mod otlp_delivery;
/// Plugins that are dropped in, refused at start, or fail while they run.
mod plugins;
/// The host's own listener, and the clients that publish to it.
mod publishers;
/// What earlier runs left pending, and in which order it comes.
mod recovery;
/// What Redis refuses for a while, or loses.
mod refusals;
/// Old entries are removed from the stream, but none that is still needed.
mod retention;
/// What can be set, and what happens when it is set wrongly.
mod settings;
/// Ends that were asked for, and spans that come late.
mod shutdown;
/// A plugin that is replaced again and again, and what that leaves behind.
mod swaps;
/// Pauses of either side, and how soon a trace comes out.
mod timing;
/// Everything breaks at random, and every trace is accounted for.
mod torture;
/// One leads, others stand by.
mod two_hosts;
