//! The ready patterns: what secrets look like wherever they stand.
//!
//! A wrong alarm costs a word in a trace, a miss costs a secret. So they rather find too much, but not so much that ids, times and
//! counts, which fill traces, are lost.

mod numbers;
#[cfg(test)]
mod tests;

use std::ops::Range;

/// Stands for all of them in a rule.
pub const ALL: &str = "all";

/// A ready pattern.
pub struct Ready {
    /// Its name in a rule.
    pub name: &'static str,
    /// How it finds.
    pub look: Look,
}

/// How a ready pattern finds.
#[derive(Clone, Copy)]
pub enum Look {
    /// By an expression. Where it has groups named `secret…`, only they are the secret.
    Expression {
        /// The expression.
        expression: &'static str,
        /// Whether what it found is meant.
        accept: fn(&str) -> bool,
        /// Whether it finds what follows a word and a sign. Keys that are such a word announce their values, then.
        announced: bool,
    },
    /// By a scan of its own, as no expression can count digits.
    Scan {
        /// An expression that every text with something to find matches.
        hint: &'static str,
        /// Finds all, in order.
        scan: fn(&str) -> Vec<Range<usize>>,
    },
}

/// All of them.
pub const READY: &[Ready] = &[
    expression("email", EMAIL, always),
    expression("bearer", BEARER, is_no_prose),
    expression("basic", BASIC, is_basic_credential),
    expression("jwt", JWT, always),
    expression("api_key", API_KEY, is_no_name),
    expression("private_key", PRIVATE_KEY, always),
    expression("url_password", URL_PASSWORD, always),
    Ready {
        name: "assigned_secret",
        look: Look::Expression {
            expression: ASSIGNED_SECRET,
            accept: always,
            announced: true,
        },
    },
    Ready {
        name: "card",
        look: Look::Scan {
            hint: "[0-9](?:[ -]?[0-9]){12}",
            scan: numbers::cards,
        },
    },
    Ready {
        name: "iban",
        look: Look::Scan {
            hint: "[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]){11}",
            scan: numbers::ibans,
        },
    },
];

/// With `%40`, as it stands in the query of a URL, too.
const EMAIL: &str = r"[\w.+%-]+(?:'[\w.+%-]+)*(?:@|%40)[\w-]+(?:\.[\w-]+)*\.(?:xn--[a-z0-9-]+|\pL{2,})";

/// As in an `Authorization` header, whatever stands between the word and the token.
const BEARER: &str = r#"(?i:bearer)(?:[\s:=+"']|%20|(?i:token))+(?P<secret>[A-Za-z0-9._~+/=-]{8,})"#;

const BASIC: &str = r#"(?i:basic)(?:[\s:=+"']|%20)+(?P<secret>[A-Za-z0-9+/_-]{4,}={0,2})"#;

/// Signed ones have three parts, encrypted ones five. A header in JSON begins with `{"`, which is `eyJ`.
const JWT: &str = r"(?:^|[^A-Za-z0-9_-])(?P<secret>eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,3})";

/// The prefixes that issuers give their keys so that they can be found.
const API_KEY: &str = r"(?x)(?:^|[^A-Za-z0-9])(?P<secret>
    sk-[A-Za-z0-9_-]{16,}                                                # OpenAI, Anthropic, OpenRouter, Langfuse
  | (?:[sr]k|whsec)_(?:(?:live|test)_)?[A-Za-z0-9]{16,}                  # Stripe
  | (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}                                  # AWS
  | AIza[A-Za-z0-9_-]{35} | ya29\.[A-Za-z0-9_-]{20,} | GOCSPX-[A-Za-z0-9_-]{20,}  # Google
  | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_[A-Za-z0-9_]{22,}            # GitHub
  | glpat-[A-Za-z0-9_-]{20,}                                             # GitLab
  | xox[a-z]-[A-Za-z0-9-]{10,} | xapp-[A-Za-z0-9-]{10,}                  # Slack
  | (?:npm|hf|gsk|r8|lin_api|pplx|xai|tvly|dop_v1)[_-][A-Za-z0-9]{20,}   # npm, Hugging Face, Groq, Replicate, …
  | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}                           # SendGrid
  | SK[0-9a-f]{32}                                                       # Twilio
  | pypi-[A-Za-z0-9_-]{40,}                                              # PyPI
  | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}                                   # Shopify
  | hv[sb]\.[A-Za-z0-9_-]{20,}                                           # Vault
)";

/// One that was cut off counts up to the end of the text.
const PRIVATE_KEY: &str = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)";

/// The user's name stays.
const URL_PASSWORD: &str = r##"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@"'<>]*:(?P<secret>[^\s/?#"'<>]+)@"##;

/// `password=…`, `"api_key": "…"`, `Authorization: …`: what follows a word that says that a secret follows. Cookies: the whole line.
const ASSIGNED_SECRET: &str = r#"(?xi)
    (?: (?: pass(?:word|wd|phrase) | (?-u:\b)pwd | secret(?:[_-]?(?:access[_-]?)?key)? | api[_-]?key | private[_-]?key | credentials?
          | (?:access|refresh|auth|id|session|bearer)[_-]?token | authorization
        ) ["']?\s*(?: => | [:=] | %3D )
      | (?-u:\b)token=
    ) \s* (?:(?:bearer|basic|token|digest)\s+)?
    (?: "(?P<secret>[^"]+) | '(?P<secret_single>[^']+) | (?P<secret_bare>[^\s"'&;,<>(){}\[\]]{3,}) )
  | cookie["']?\s*[:=]\s*["']?(?P<secret_cookie>[^"'\r\n]+)"#;

/// The ready pattern with this name; [`ALL`] answers with the first, as every name that is allowed has an answer.
#[must_use]
pub fn named(name: &str) -> Option<&'static Ready> {
    READY.iter().find(|ready| name == ready.name || name == ALL)
}

/// The ready patterns that a name in a rule stands for.
pub fn meant(name: &str) -> impl Iterator<Item = &'static Ready> {
    READY.iter().filter(move |ready| name == ready.name || name == ALL)
}

/// Every name that a rule may say.
#[must_use]
pub fn names() -> Vec<&'static str> {
    std::iter::once(ALL).chain(READY.iter().map(|ready| ready.name)).collect()
}

const fn expression(name: &'static str, expression: &'static str, accept: fn(&str) -> bool) -> Ready {
    Ready {
        name,
        look: Look::Expression { expression, accept, announced: false },
    }
}

fn always(_found: &str) -> bool {
    true
}

/// `Bearer authentication required` says a word after `Bearer`, and no token.
fn is_no_prose(found: &str) -> bool {
    const PROSE: [&str; 6] = ["authentication", "authorization", "credential", "credentials", "challenge", "required"];
    !PROSE.iter().any(|word| found.trim_end_matches('.').eq_ignore_ascii_case(word))
}

/// `sk-` begins names, too, `sk-learn-pipeline-runner`; keys have digits.
fn is_no_name(found: &str) -> bool {
    !found.starts_with("sk-") || found.contains(|c: char| c.is_ascii_digit())
}

/// `user:password` in base64. Words after `basic` are something else.
fn is_basic_credential(found: &str) -> bool {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for symbol in found.trim_end_matches('=').bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    std::str::from_utf8(&bytes).is_ok_and(|text| text.contains(':') && !text.contains(|c: char| c.is_control()))
}
