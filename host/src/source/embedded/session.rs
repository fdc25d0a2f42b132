//! What a connection is: who it is for, what it may do, what it speaks.

use super::bounds;
use super::command::{Call, Outcome, unknown_subcommand, wrong_arity};
use super::entry_id::integer;
use super::reply::Protocol;
use crate::secret::Secret;

/// The Redis whose replies these are.
pub const REDIS_VERSION: &str = "7.0.15";

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                           configuration is correct?";
const HELLO_FIRST: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
                           <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";

/// One connection's state.
#[derive(Debug)]
pub struct Session {
    /// Tells connections apart; never used again.
    pub id: u64,
    /// Whether every command may be called: there is no password, or it was given.
    pub trusted: bool,
    /// Whether to close when the replies are sent.
    pub closing: bool,
    name: Vec<u8>,
}

impl Session {
    /// A new one. `trusted`: there is no password.
    pub fn new(id: u64, trusted: bool) -> Session {
        Session {
            id,
            trusted,
            closing: false,
            name: Vec::new(),
        }
    }

    fn authenticate(&mut self, user: &[u8], given: &[u8], password: Option<&Secret>) -> Outcome {
        // The user of `requirepass`, as publishers know it: there is one.
        if user != b"default" || !password.is_none_or(|password| password.is(given)) {
            return Err(WRONG_PASSWORD.into());
        }
        self.trusted = true;
        Ok(())
    }

    fn set_name(&mut self, name: &[u8]) -> Outcome {
        if name.len() > bounds::ECHO_BYTES {
            return Err(format!("ERR Client names have at most {} bytes here", bounds::ECHO_BYTES).into());
        }
        if !name.iter().all(u8::is_ascii_graphic) {
            return Err("ERR Client names cannot contain spaces, newlines or special characters.".into());
        }
        self.name = name.to_vec();
        Ok(())
    }
}

/// `AUTH [user] password`.
pub fn auth(call: &mut Call) -> Outcome {
    let password = call.shared.config.password.as_ref();
    match call.arguments.len() {
        2 if password.is_none() => return Err(NO_PASSWORD.into()),
        2 => call.session.authenticate(b"default", call.arguments.get(1), password)?,
        3 => call.session.authenticate(call.arguments.get(1), call.arguments.get(2), password)?,
        _ => return Err("ERR syntax error".into()),
    }
    call.replies.simple("OK");
    Ok(())
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`.
pub fn hello(call: &mut Call) -> Outcome {
    let arguments = call.arguments;
    let protocol = match integer(arguments.get(1)) {
        _ if arguments.len() < 2 => call.replies.protocol,
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        Some(_) => return Err("NOPROTO unsupported protocol version".into()),
        None => return Err("ERR Protocol version is not an integer or out of range".into()),
    };
    let mut index = 2;
    while index < arguments.len() {
        let more = arguments.len() - 1 - index;
        if arguments.is(index, "AUTH") && more >= 2 {
            let password = call.shared.config.password.as_ref();
            call.session.authenticate(arguments.get(index + 1), arguments.get(index + 2), password)?;
            index += 3;
        } else if arguments.is(index, "SETNAME") && more >= 1 {
            call.session.set_name(arguments.get(index + 1))?;
            index += 2;
        } else {
            return Err(format!("ERR Syntax error in HELLO option '{}'", call.shown(index)).into());
        }
    }
    if !call.session.trusted {
        return Err(HELLO_FIRST.into());
    }
    call.replies.protocol = protocol;
    greet(call);
    Ok(())
}

fn greet(call: &mut Call) {
    let (id, replies) = (call.session.id, &mut *call.replies);
    replies.map(7);
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        replies.bulk(key.as_bytes());
        replies.bulk(value.as_bytes());
    }
    replies.bulk(b"proto");
    replies.integer(if replies.protocol == Protocol::Resp3 { 3 } else { 2 });
    replies.bulk(b"id");
    replies.integer(i64::try_from(id).unwrap_or(i64::MAX));
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        replies.bulk(key.as_bytes());
        replies.bulk(value.as_bytes());
    }
    replies.bulk(b"modules");
    replies.array(0);
}

/// `CLIENT SETINFO | SETNAME | GETNAME | ID | NO-EVICT`: what client libraries send when they connect.
pub fn client(call: &mut Call) -> Outcome {
    let word = call.arguments.get(1).to_ascii_lowercase();
    let arity = match word.as_slice() {
        b"id" | b"getname" => 2,
        b"setname" | b"no-evict" => 3,
        b"setinfo" => 4,
        _ => return Err(unknown_subcommand(call)),
    };
    if call.arguments.len() != arity {
        return Err(wrong_arity(&format!("client|{}", word.escape_ascii())));
    }
    match word.as_slice() {
        b"id" => call.replies.integer(i64::try_from(call.session.id).unwrap_or(i64::MAX)),
        b"getname" if call.session.name.is_empty() => call.replies.null(),
        b"getname" => call.replies.bulk(&call.session.name),
        b"setname" => {
            call.session.set_name(call.arguments.get(2))?;
            call.replies.simple("OK");
        }
        // A name and a version of the library (Redis 7.2), or an eviction that does not happen here: taken, and of no effect.
        _ => call.replies.simple("OK"),
    }
    Ok(())
}

/// `SELECT index`: there is one stream, whatever the number.
pub fn select(call: &mut Call) -> Outcome {
    match integer(call.arguments.get(1)) {
        Some(0..=15) => call.replies.simple("OK"),
        Some(index) if i32::try_from(index).is_ok() => return Err("ERR DB index is out of range".into()),
        Some(_) => return Err("ERR value is out of range, value must between -2147483648 and 2147483647".into()),
        None => return Err("ERR value is not an integer or out of range".into()),
    }
    Ok(())
}

/// `RESET`: as if connected anew.
pub fn reset(call: &mut Call) -> Outcome {
    *call.session = Session::new(call.session.id, call.shared.config.password.is_none());
    call.replies.protocol = Protocol::Resp2;
    call.replies.simple("RESET");
    Ok(())
}

/// `QUIT`: the replies so far, then the end.
pub fn quit(call: &mut Call) -> Outcome {
    call.session.closing = true;
    call.replies.simple("OK");
    Ok(())
}
