//! Who may ask: whoever knows the token; without one, whoever is on this machine.

use std::net::IpAddr;

use anyhow::{Context, anyhow};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};

use super::refusal::Refusal;
use crate::config::{ApiConfig, Token, token};
use crate::secret::Secret;

/// Who may ask.
#[derive(Debug)]
pub(super) enum Access {
    /// Whoever knows the token.
    Token(Secret),
    /// Programs on this machine. Web pages are no such programs, though the browser that shows them is: it can be told that their name means
    /// 127.0.0.1 (DNS rebinding), and then lets them read what it gets from there. It still says their name, so a name that others can have is refused.
    Local,
    /// Everybody, as somebody has decided who starts the host with `--insecure-bind`.
    Anybody,
}

impl Access {
    /// Reads the token, if it is in a file.
    ///
    /// # Errors
    /// A file that cannot be read or holds no token.
    pub(super) fn new(config: &ApiConfig) -> anyhow::Result<Access> {
        let secret = match &config.token {
            None if config.is_local() => return Ok(Access::Local),
            None => return Ok(Access::Anybody),
            Some(Token::Given(secret)) => secret.clone(),
            Some(Token::File(path)) => {
                let name = format!("MESHTRACE_API_TOKEN_FILE={}", path.display());
                let text = std::fs::read_to_string(path).with_context(|| format!("{name}: it cannot be read"))?;
                token(text.trim()).map_err(|expected| anyhow!("{name}: expected a file with a token in it: {expected}"))?
            }
        };
        Ok(Access::Token(secret))
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        match self {
            Access::Token(secret) => match bearer(headers) {
                None => Err(Refusal::NoToken),
                Some(given) if secret.is(given) => Ok(()),
                Some(_) => Err(Refusal::WrongToken),
            },
            Access::Local => {
                let named = headers.get_all(HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
                match uri.authority().map(ToString::to_string).into_iter().chain(named).find(|host| !is_local(host)) {
                    Some(host) => Err(Refusal::WrongHost(host)),
                    None => Ok(()),
                }
            }
            Access::Anybody => Ok(()),
        }
    }
}

/// The one token that a request brings.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Whether a host, with a port or without, is a name that nobody else can have: an address, or localhost and what is below it.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    !authority.as_str().contains('@') && (address || name == "localhost" || name.ends_with(".localhost"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_the_token_opens_and_only_one_is_taken() {
        let access = Access::Token("0123456789abcdef".into());
        let check = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|value| (AUTHORIZATION, *value)).collect();
            access.check(&Uri::from_static("/trace/list"), &headers(&pairs))
        };
        for right in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "BEARER   0123456789abcdef "] {
            assert_eq!(check(&[right]), Ok(()), "{right}");
        }
        for wrong in ["Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Bearer 0123456789ABCDEF", "Bearer "]
        {
            assert_eq!(check(&[wrong]), Err(Refusal::WrongToken), "{wrong}");
        }
        for none in [&[][..], &["0123456789abcdef"], &["Basic 0123456789abcdef"], &["Bearer"], &[""], &["Bearer 0123456789abcdef"; 2]] {
            assert_eq!(check(none), Err(Refusal::NoToken), "{none:?}");
        }
    }

    #[test]
    fn a_name_that_others_can_have_is_refused_on_this_machine_only() {
        let check = |access: &Access, uri: &str, host: &str| access.check(&uri.parse().unwrap(), &headers(&[(HOST, host)])).is_ok();
        for own in [
            "localhost",
            "LOCALHOST:8090",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1",
            "127.0.0.1:8090",
            "[::1]:8090",
            "[::1]",
            "192.168.0.7:1",
        ] {
            assert!(check(&Access::Local, "/health", own), "{own}");
        }
        for other in [
            "evil.com",
            "evil.com:8090",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "notlocalhost",
            "localhost@evil.com",
            "",
            "a b",
            "1::",
        ] {
            assert!(!check(&Access::Local, "/health", other), "{other}");
            assert!(check(&Access::Anybody, "/health", other), "{other}");
        }
        assert!(!check(&Access::Local, "http://evil.com/health", "localhost"), "what is asked for goes before the header");
        assert!(Access::Local.check(&Uri::from_static("/health"), &HeaderMap::new()).is_ok(), "every browser says a host");
    }

    #[test]
    fn a_token_comes_from_a_file_without_the_line_s_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let access = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let config = ApiConfig {
                listen: "127.0.0.1:0".parse().unwrap(),
                token: Some(Token::File(path.clone())),
                certificate: None,
                insecure_bind: false,
            };
            Access::new(&config)
        };
        let Access::Token(secret) = access("0123456789abcdef\r\n").unwrap() else { panic!("no token") };
        assert!(secret.is(b"0123456789abcdef"));
        for bad in ["", "short\n", "two tokens 0123456789"] {
            let error = access(bad).unwrap_err().to_string();
            assert!(error.starts_with("MESHTRACE_API_TOKEN_FILE=/") && error.contains("16 to 1024 characters"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad.trim()), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
