//! `embedded://`: where to listen, and what clients have to know.

use percent_encoding::percent_decode_str;

/// What such a URL says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listener {
    /// `host:port`.
    pub address: String,
    /// The password, decoded as clients decode theirs.
    pub password: Option<String>,
}

/// Understands what follows `embedded://`. Agents are given the same user and password in their own URLs, where clients take them percent-encoded.
///
/// # Errors
/// What is expected instead of a user that no client could log in as, of bytes that are no text, or of an address without a port.
pub(super) fn listener(rest: &str) -> Result<Listener, String> {
    let (who, address) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from);
    if !decoded(user).is_ok_and(|user| user.is_empty() || user == "default") {
        return Err("embedded://:PASSWORD@HOST:PORT; the only user is default, which may be left out".into());
    }
    let password =
        decoded(password).map_err(|_| "embedded://:PASSWORD@HOST:PORT with a password that is UTF-8 once it is percent-decoded")?;
    let address = address.trim_end_matches('/');
    if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err("embedded://HOST:PORT with a number as PORT; 0 is any that is free".into());
    }
    Ok(Listener {
        address: address.to_owned(),
        password: Some(password).filter(|password| !password.is_empty()),
    })
}
