//! Where the API listens, who may ask it, and how it is encrypted.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::parse;
use super::values::Reader;
use crate::secret::Secret;

/// The fewest and the most characters of a token. Fewer could be guessed over the network.
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=1024;

/// What a token is made of: all that goes into a header as it is.
const TOKEN: &str = "16 to 1024 characters, each a letter, a digit or one of - . _ ~ + / =";

/// Where the API listens, and for whom.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Its address.
    pub listen: SocketAddr,
    /// What clients must know, if anything.
    pub token: Option<Token>,
    /// What it encrypts with, if it does.
    pub certificate: Option<Certificate>,
    /// Whether it may listen where others reach it without both of these; an embedded listener, without a password.
    pub insecure_bind: bool,
}

/// Where the token is.
#[derive(Debug, Clone)]
pub enum Token {
    /// It was given.
    Given(Secret),
    /// It stands in this file, which is read at the start.
    File(PathBuf),
}

/// PEM files of a certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, and those that vouch for it.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl ApiConfig {
    pub(super) fn read(read: &mut Reader<'_>) -> ApiConfig {
        ApiConfig {
            listen: read.get("listen", parse::address).into(),
            token: read_token(read),
            certificate: read_certificate(read),
            insecure_bind: read.get("insecure_bind", parse::boolean),
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Refuses to be reached by others without a token and TLS: what is read here is all that agents did, and a token that is not encrypted is
    /// everybody's.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn check_reach(&self) -> Result<(), String> {
        if self.is_local() || self.insecure_bind {
            return Ok(());
        }
        let token = self.token.is_none().then_some("MESHTRACE_API_TOKEN_FILE (or MESHTRACE_API_TOKEN)");
        let certificate = self.certificate.is_none().then_some("MESHTRACE_TLS_CERT and MESHTRACE_TLS_KEY");
        let missing: Vec<&str> = token.into_iter().chain(certificate).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, self.listen.port()));
        Err(format!(
            "MESHTRACE_LISTEN={}: others could reach the API there and read every trace; set {}, listen on {local}, or start with --insecure-bind if \
             something in front of it asks for a password and encrypts",
            self.listen,
            missing.join(", and ")
        ))
    }
}

fn read_token(read: &mut Reader<'_>) -> Option<Token> {
    let given = read.get("api_token", |text| if text.is_empty() { Ok(None) } else { token(text).map(Some) });
    let file = read.optional("api_token_file").map(PathBuf::from);
    if given.is_some() && file.is_some() {
        read.refuse("api_token_file", "nothing where MESHTRACE_API_TOKEN is set: one of them is enough");
    }
    given.map(Token::Given).or(file.map(Token::File))
}

fn read_certificate(read: &mut Reader<'_>) -> Option<Certificate> {
    let (chain, key) = (read.optional("tls_cert").map(PathBuf::from), read.optional("tls_key").map(PathBuf::from));
    match (chain, key) {
        (Some(chain), Some(key)) => Some(Certificate { chain, key }),
        (Some(_), None) => {
            read.refuse("tls_key", "the PEM file of the key of MESHTRACE_TLS_CERT");
            None
        }
        (None, Some(_)) => {
            read.refuse("tls_cert", "the PEM file of the certificate of MESHTRACE_TLS_KEY");
            None
        }
        (None, None) => None,
    }
}

/// Understands a token.
///
/// # Errors
/// What was expected; never what was given.
pub fn token(text: &str) -> Result<Secret, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if TOKEN_CHARACTERS.contains(&text.len()) && text.bytes().all(allowed) { Ok(text.into()) } else { Err(TOKEN.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources, Values};
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn config(pairs: &[(&str, &str)]) -> anyhow::Result<ApiConfig> {
        let sources = Sources {
            environment: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ..Sources::default()
        };
        Ok(Config::new(&Values::new(sources)?)?.api)
    }

    #[test]
    fn where_others_reach_it_a_token_and_tls_are_needed() {
        let both: &[(&str, &str)] = &[("MESHTRACE_API_TOKEN", SECRET), ("MESHTRACE_TLS_CERT", "c"), ("MESHTRACE_TLS_KEY", "k")];
        for (listen, more, missing) in [
            ("127.0.0.1:1", &[][..], ""),
            ("127.9.9.9:1", &[], ""),
            ("[::1]:1", &[], ""),
            ("[::ffff:127.0.0.1]:1", &[], ""),
            ("0.0.0.0:1", both, ""),
            ("0.0.0.0:1", &[("MESHTRACE_INSECURE_BIND", "true")], ""),
            ("[::]:1", &both[1..], "set MESHTRACE_API_TOKEN_FILE (or MESHTRACE_API_TOKEN), listen on"),
            ("192.168.0.7:1", &both[..1], "set MESHTRACE_TLS_CERT and MESHTRACE_TLS_KEY, listen on"),
            (
                "0.0.0.0:1",
                &[],
                "set MESHTRACE_API_TOKEN_FILE (or MESHTRACE_API_TOKEN), and MESHTRACE_TLS_CERT and MESHTRACE_TLS_KEY, listen on 127.0.0.1:1, or",
            ),
        ] {
            let checked = config(&[&[("MESHTRACE_LISTEN", listen)], more].concat()).unwrap().check_reach();
            assert_eq!(checked.is_ok(), missing.is_empty(), "{listen} {more:?}");
            assert!(checked.err().unwrap_or_default().contains(missing), "{listen} {more:?}");
        }
    }

    #[test]
    fn a_token_that_could_be_guessed_or_fits_no_header_is_refused_and_not_shown() {
        for bad in ["short", "0123456789abcde", "0123456789 abcdef", "0123456789abcdéf", "0123456789abcdef\n"] {
            let error = config(&[("MESHTRACE_API_TOKEN", bad)]).unwrap_err().to_string();
            assert_eq!(error, format!("MESHTRACE_API_TOKEN=***: expected {TOKEN}"));
        }
        assert!(token(&"x".repeat(1025)).is_err());
        let Some(Token::Given(secret)) = config(&[("MESHTRACE_API_TOKEN", SECRET)]).unwrap().token else { panic!("no token") };
        assert!(secret.is(SECRET.as_bytes()));
    }

    #[test]
    fn half_of_a_pair_and_two_tokens_are_refused() {
        let error = |pairs| config(pairs).unwrap_err().to_string();
        assert_eq!(error(&[("MESHTRACE_TLS_CERT", "c")]), "MESHTRACE_TLS_KEY=: expected the PEM file of the key of MESHTRACE_TLS_CERT");
        assert!(error(&[("MESHTRACE_TLS_KEY", "k")]).starts_with("MESHTRACE_TLS_CERT=: expected the PEM file of the certificate"));
        let two = error(&[("MESHTRACE_API_TOKEN", SECRET), ("MESHTRACE_API_TOKEN_FILE", "f")]);
        assert_eq!(two, "MESHTRACE_API_TOKEN_FILE=f: expected nothing where MESHTRACE_API_TOKEN is set: one of them is enough");
    }
}
