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
/// What is expected instead of a user that no client could log in as, or of bytes that are no text.
pub(super) fn listener(rest: &str) -> Result<Listener, String> {
    let (who, address) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from);
    if !decoded(user).is_ok_and(|user| user.is_empty() || user == "default") {
        return Err("embedded://:PASSWORD@HOST:PORT; the only user is default, which may be left out".into());
    }
    let password =
        decoded(password).map_err(|_| "embedded://:PASSWORD@HOST:PORT with a password that is UTF-8 once it is percent-decoded")?;
    Ok(Listener {
        address: address.trim_end_matches('/').to_owned(),
        password: Some(password).filter(|password| !password.is_empty()),
    })
}
