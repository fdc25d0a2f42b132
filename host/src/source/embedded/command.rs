//! The commands, and the ones that need no file of their own.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::bounds;
use super::reply::Replies;
use super::request::Arguments;
use super::session::{self, REDIS_VERSION, Session};
use super::shared::Shared;
use super::xadd::xadd;

/// A request that is being executed.
pub struct Call<'a> {
    /// The connection it came on.
    pub session: &'a mut Session,
    /// What connections have in common.
    pub shared: &'a Shared,
    /// The command's name and its arguments.
    pub arguments: Arguments<'a>,
    /// Where its one reply goes.
    pub replies: &'a mut Replies,
}

/// A command has written its reply, or there is an error to reply with: a code, and why.
pub type Outcome = Result<(), Cow<'static, str>>;

struct Command {
    name: &'static str,
    /// Arguments, its name among them; at least so many if negative (as Redis' own table has it).
    arity: isize,
    /// Whether it may be called before `AUTH`.
    open: bool,
    run: fn(&mut Call) -> Outcome,
}

const fn command(name: &'static str, arity: isize, run: fn(&mut Call) -> Outcome) -> Command {
    Command { name, arity, open: false, run }
}

const fn open(command: Command) -> Command {
    Command { open: true, ..command }
}

/// In the order in which errors name them.
const COMMANDS: [Command; 14] = [
    command("XADD", -5, xadd),
    command("XLEN", 2, xlen),
    command("EXISTS", -2, exists),
    command("TYPE", 2, kind),
    open(command("AUTH", -2, session::auth)),
    open(command("HELLO", -1, session::hello)),
    open(command("RESET", 1, session::reset)),
    open(command("QUIT", -1, session::quit)),
    command("SELECT", 2, session::select),
    command("CLIENT", -2, session::client),
    command("PING", -1, ping),
    command("ECHO", 2, echo),
    command("INFO", -1, info),
    command("COMMAND", -1, describe),
];

/// Executes one request: exactly one reply.
pub fn execute(call: &mut Call) {
    if let Err(error) = find(call).and_then(|command| (command.run)(call)) {
        call.replies.error(&error);
    }
}

/// In the order of Redis: does it exist, has it the right number of arguments, may it be called.
fn find(call: &Call) -> Result<&'static Command, Cow<'static, str>> {
    let Some(command) = COMMANDS.iter().find(|command| call.arguments.is(0, command.name)) else {
        let names = COMMANDS.each_ref().map(|command| command.name).join(", ");
        return Err(format!("ERR unknown command '{}', meshtrace's embedded listener accepts {names}", call.shown(0)).into());
    };
    let given = call.arguments.len();
    if given < command.arity.unsigned_abs() || (command.arity > 0 && given > command.arity.unsigned_abs()) {
        return Err(wrong_arity(&command.name.to_ascii_lowercase()));
    }
    if !call.session.trusted && !command.open {
        return Err("NOAUTH Authentication required.".into());
    }
    Ok(command)
}

impl Call<'_> {
    /// An argument to be quoted in an error: its first 128 bytes, printable.
    pub fn shown(&self, index: usize) -> String {
        self.arguments.get(index).iter().take(128).copied().flat_map(std::ascii::escape_default).map(char::from).collect()
    }
}

/// Redis' error for a number of arguments that cannot be.
pub fn wrong_arity(name: &str) -> Cow<'static, str> {
    format!("ERR wrong number of arguments for '{name}' command").into()
}

/// Redis' error for a second word that is not known.
pub fn unknown_subcommand(call: &Call) -> Cow<'static, str> {
    let name = call.shown(0).to_ascii_uppercase();
    format!("ERR unknown subcommand '{}'. Try {name} HELP.", call.shown(1)).into()
}

fn ping(call: &mut Call) -> Outcome {
    match call.arguments.len() {
        1 => call.replies.simple("PONG"),
        2 => return echo(call),
        _ => return Err(wrong_arity("ping")),
    }
    Ok(())
}

fn echo(call: &mut Call) -> Outcome {
    let message = call.arguments.get(1);
    if message.len() > bounds::ECHO_BYTES {
        return Err(format!("ERR a message has at most {} bytes here", bounds::ECHO_BYTES).into());
    }
    call.replies.bulk(message);
    Ok(())
}

/// Whether a key is the stream, which is there from the start (as beside Redis, where the consumer group makes it).
fn is_stream(call: &Call, index: usize) -> bool {
    call.arguments.get(index) == call.shared.config.stream.as_bytes()
}

fn xlen(call: &mut Call) -> Outcome {
    let entries = if is_stream(call, 1) { call.shared.log.holding().entries } else { 0 };
    call.replies.integer(i64::try_from(entries).unwrap_or(i64::MAX));
    Ok(())
}

fn exists(call: &mut Call) -> Outcome {
    let found = (1..call.arguments.len()).filter(|index| is_stream(call, *index)).count();
    call.replies.integer(i64::try_from(found).unwrap_or(i64::MAX));
    Ok(())
}

fn kind(call: &mut Call) -> Outcome {
    let kind = if is_stream(call, 1) { "stream" } else { "none" };
    call.replies.simple(kind);
    Ok(())
}

/// Client libraries ask whether the server is still loading; people, how full it is.
fn info(call: &mut Call) -> Outcome {
    let (holding, bounds) = (call.shared.log.holding(), &call.shared.config.bounds);
    let mut text = format!("# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n");
    // Writing to memory does not fail.
    let _ = write!(text, "server_name:meshtrace\r\nmeshtrace_version:{}\r\n\r\n", env!("CARGO_PKG_VERSION"));
    let _ = write!(text, "# Clients\r\nconnected_clients:{}\r\n", call.shared.connected());
    let _ = write!(text, "maxclients:{}\r\n\r\n", bounds.connections);
    let _ = write!(text, "# Memory\r\nused_memory:{}\r\nmaxmemory:{}\r\n", holding.bytes, bounds.held_bytes);
    let _ = write!(text, "maxmemory_policy:noeviction\r\n\r\n# Persistence\r\nloading:0\r\n\r\n");
    let _ = write!(text, "# Replication\r\nrole:master\r\n");
    call.replies.text(&text);
    Ok(())
}

/// `COMMAND …`: no command is described; interactive clients do without.
fn describe(call: &mut Call) -> Outcome {
    if call.arguments.is(1, "COUNT") {
        call.replies.integer(COMMANDS.len() as i64);
    } else if call.arguments.is(1, "DOCS") {
        call.replies.map(0);
    } else {
        call.replies.array(0);
    }
    Ok(())
}
