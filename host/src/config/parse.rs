//! Texts to values; an error says what was expected.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use redis::IntoConnectionInfo;

use crate::go_duration;

/// What a read asks for when nobody says how much.
const BATCH_SIZE: usize = 500;

pub(super) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("a text that is not empty".into()) } else { Ok(text.trim().to_owned()) }
}

/// What Go's `strconv.ParseBool` takes, as the registry does.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("true or false".into()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    go_duration::parse(text).map_err(|_| "a Go duration such as 300ms, 1.5s, 5m or 24h, or 0".into())
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).ok().filter(|duration| !duration.is_zero()).ok_or_else(|| "a Go duration above 0, such as 30s, 5m or 1h".into())
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a whole number above 0".into())
}

pub(super) fn count_or_none(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a whole number, or 0 for no bound".into())
}

pub(super) fn batch_size(text: &str) -> Result<usize, String> {
    if text.is_empty() {
        return Ok(BATCH_SIZE);
    }
    text.parse().ok().filter(|count| (1..=10_000).contains(count)).ok_or_else(|| "a whole number from 1 to 10000".into())
}

/// A Redis' URL is read as its client will read it. What the client says of a bad one is not repeated: it quotes the URL, and with it the password.
pub(super) fn redis_url(text: &str) -> Result<String, String> {
    if text.starts_with("embedded://") {
        return Ok(text.to_owned());
    }
    let Some(rest) = ["redis://", "rediss://"].iter().find_map(|scheme| text.strip_prefix(scheme)) else {
        return Err("redis://HOST:PORT/DB, rediss://HOST:PORT/DB or embedded://HOST:PORT".into());
    };
    // With TLS, which other settings may turn on, the client is more particular.
    match format!("rediss://{rest}").into_connection_info() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(
            "redis://USER:PASSWORD@HOST:PORT/DB, where HOST is no wildcard, PORT and DB are numbers, and / ? # @ % in a password are percent-encoded"
                .into(),
        ),
    }
}

pub(super) fn json_mode(text: &str) -> Result<String, String> {
    if ["files", "lines"].contains(&text) { Ok(text.to_owned()) } else { Err("files or lines".into()) }
}

/// An address; `default()` of it is never used, since a problem stops the start.
pub(super) fn address(text: &str) -> Result<Address, String> {
    text.parse().map(Address).map_err(|_| "an IP address and a port, such as 127.0.0.1:8090 or [::1]:8090".into())
}

/// A socket address that has a default, which only stands in where a value was refused.
pub(super) struct Address(SocketAddr);

impl Default for Address {
    fn default() -> Self {
        Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        address.0
    }
}
