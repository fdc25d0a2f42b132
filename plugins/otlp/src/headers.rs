//! What is sent with every request. Values may be secrets: they are never logged, and are taken out of whatever is.

use std::collections::BTreeMap;

/// Headers that the exporter or the host sets.
const OURS: [&str; 11] = [
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "te",
    "trailer",
];
/// Shorter words are no secrets, and may be anywhere in a text.
const SECRET_BYTES: usize = 6;

/// Names in lower case, each once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Those of the config over those of the environment variable called `variable`.
    ///
    /// # Errors
    /// Which is wrong and why, by name only.
    pub fn new(config: &BTreeMap<String, String>, variable: &str, text: Option<&str>) -> Result<Self, String> {
        let mut headers = Headers::default();
        for pair in text.unwrap_or_default().split(',').filter(|pair| !pair.trim().is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(format!(
                    "otlp: {variable} has an entry without \"=\"; expected key1=value1,key2=value2 with values percent-encoded"
                ));
            };
            let value = percent_decoded(value.trim()).ok_or_else(|| {
                format!(
                    "otlp: the value of {:?} in {variable} is not percent-encoded UTF-8: \"%\" is followed by two hex digits",
                    name.trim()
                )
            })?;
            headers.set(name.trim(), value, variable)?;
        }
        for (name, value) in config {
            headers.set(name, value.clone(), "headers")?;
        }
        Ok(headers)
    }

    fn set(&mut self, name: &str, value: String, origin: &str) -> Result<(), String> {
        let name = name.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(format!("otlp: {origin} has the header {name:?}, which is no header's name"));
        }
        if OURS.contains(&&*name) {
            return Err(format!("otlp: {origin} has the header {name:?}, which is not for anybody to set"));
        }
        if value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
            return Err(format!("otlp: the value of {name:?} in {origin} holds a line break or another control character"));
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `text` without the values: a collector may repeat a token that it refuses.
    #[must_use]
    pub fn hidden_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.0.values() {
            for word in value.split_whitespace().filter(|word| word.len() >= SECRET_BYTES) {
                text = text.replace(word, "***");
            }
        }
        text
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            bytes.push((digit()? * 16 + digit()?) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let headers = Headers::new(&BTreeMap::new(), "VARIABLE", Some(text))?;
        Ok(headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    #[test]
    fn the_variable_is_read_as_opentelemetry_writes_it() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("Authorization=Bearer%20a%2Cb%3D=, X-Tenant = t ").unwrap(),
            [pair("authorization", "Bearer a,b=="), pair("x-tenant", "t")]
        );
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read(",a=,").unwrap(), [pair("a", "")]);
    }

    #[test]
    fn the_config_goes_over_the_environment() {
        let config = [("X-A".to_owned(), "config".to_owned())].into();
        let headers = Headers::new(&config, "VARIABLE", Some("x-a=environment,x-b=2")).unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("x-a", "config"), ("x-b", "2")]);
    }

    #[test]
    fn mistakes_are_told_by_name_and_never_by_value() {
        let cases = [
            ("s3cret-value", "has an entry without \"=\""),
            ("a=s3cret%zz", "the value of \"a\" in VARIABLE is not percent-encoded"),
            ("a=s3cret%2", "the value of \"a\" in VARIABLE is not percent-encoded"),
            ("a=s3cret%ff", "the value of \"a\" in VARIABLE is not percent-encoded"),
            ("a b=s3cret", "the header \"a b\", which is no header's name"),
            ("Host=s3cret", "the header \"host\", which is not for anybody to set"),
            ("a=s3cret%0d%0ax: y", "the value of \"a\" in VARIABLE holds a line break"),
        ];
        for (text, part) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn values_are_taken_out_of_what_a_collector_says() {
        let headers = Headers::new(&BTreeMap::new(), "VARIABLE", Some("authorization=Bearer%20s3cret-token,x=no")).unwrap();
        assert_eq!(headers.hidden_in("no such token: s3cret-token (Bearer)"), "no such token: *** (***)");
    }
}
