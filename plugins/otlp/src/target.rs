//! Where requests go.

use std::fmt;

/// A URL in the parts that `wasi:http` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `https` rather than `http`.
    pub tls: bool,
    /// Host and port as given.
    pub authority: String,
    /// Begins with a slash.
    pub path: String,
}

impl Target {
    /// The endpoint followed by `path`, unless it ends with it already.
    ///
    /// # Errors
    /// What is wrong with the endpoint, and how one looks.
    pub fn new(endpoint: &str, path: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("otlp config: endpoint {what}; give a URL such as \"http://collector:4318\"");
        let (scheme, rest) = endpoint.split_once("://").ok_or_else(|| wrong(&format!("is {:?}, which has no scheme", shown(endpoint))))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => return Err(wrong(&format!("has the scheme {other:?}, and only http and https are spoken"))),
        };
        let (authority, base) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        // A password in it would be shown wherever the endpoint is.
        if authority.contains('@') {
            return Err(wrong("names a user; credentials belong into headers"));
        }
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        if host.is_empty() || !rest.chars().all(|c| c.is_ascii_graphic()) {
            return Err(wrong(&format!("is {endpoint:?}, which names no host, or holds spaces or letters that no URL has")));
        }
        if rest.contains(['?', '#']) {
            return Err(wrong(&format!("is {endpoint:?}; a query or a fragment has no place in it")));
        }
        let base = base.trim_end_matches('/');
        let path = if base.ends_with(path) { base.to_owned() } else { format!("{base}{path}") };
        Ok(Target {
            tls,
            authority: authority.to_owned(),
            path,
        })
    }
}

/// An endpoint without what may be a password.
fn shown(endpoint: &str) -> &str {
    endpoint.rsplit_once('@').map_or(endpoint, |(_, host)| host)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}{}", if self.tls { "s" } else { "" }, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_become_urls() {
        let cases = [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("HTTP://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://api.example.com", "https://api.example.com/v1/traces"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
            ("https://example.com/otlp/", "https://example.com/otlp/v1/traces"),
            ("http://jaeger:4318/v1/traces", "http://jaeger:4318/v1/traces"),
        ];
        for (endpoint, url) in cases {
            assert_eq!(Target::new(endpoint, "/v1/traces").unwrap().to_string(), url);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_showing_a_password() {
        let cases = [
            ("collector:4318", "is \"collector:4318\", which has no scheme"),
            ("me:s3cret@collector:4318", "is \"collector:4318\", which has no scheme"),
            ("grpc://collector:4317", "has the scheme \"grpc\""),
            ("http://me:s3cret@collector:4318", "names a user"),
            ("http:///v1", "names no host"),
            ("http://:4318", "names no host"),
            ("http://a b:1", "holds spaces"),
            ("http://a?x=1", "a query"),
        ];
        for (endpoint, part) in cases {
            let error = Target::new(endpoint, "/v1/traces").unwrap_err();
            assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
        }
    }
}
