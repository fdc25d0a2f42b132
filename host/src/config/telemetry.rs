//! Where the otlp exporter sends traces, from the two variables that MCP Mesh documents for it.

use super::Origin;
use super::values::{Reader, Values};

/// The port that collectors take gRPC on, and the one that they take HTTP on.
const GRPC_PORT: &str = ":4317";
const HTTP_PORT: &str = ":4318";

/// `TELEMETRY_ENDPOINT` and `TELEMETRY_PROTOCOL`.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// The collector.
    pub endpoint: Endpoint,
    /// Why traces cannot be sent there, and what to set: for people. It matters only when they are to be.
    pub refused: Option<String>,
}

/// A collector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its base URL.
    pub url: String,
    /// Its host and port.
    pub authority: String,
}

/// How OTLP is spoken.
#[derive(Debug, Default, PartialEq, Eq)]
enum Protocol {
    #[default]
    Http,
    Grpc,
}

impl Telemetry {
    pub(super) fn read(read: &mut Reader<'_>, values: &Values) -> Telemetry {
        let endpoint = read.get("telemetry_endpoint", endpoint);
        let protocol = read.get("telemetry_protocol", protocol);
        // Who says which protocol it is has thought about the port.
        let taken_for_grpc = values.origin("telemetry_protocol") == Origin::Default && endpoint.authority.ends_with(GRPC_PORT);
        let better = endpoint.url.replace(GRPC_PORT, HTTP_PORT);
        let refused = match protocol {
            Protocol::Grpc => Some(format!(
                "TELEMETRY_PROTOCOL=grpc: meshtrace sends OTLP over HTTP; set TELEMETRY_PROTOCOL=http and TELEMETRY_ENDPOINT={better}"
            )),
            Protocol::Http if taken_for_grpc => Some(format!(
                "TELEMETRY_ENDPOINT={}: port 4317 takes gRPC, and meshtrace sends OTLP over HTTP; set TELEMETRY_ENDPOINT={better}, or TELEMETRY_PROTOCOL=http if this one takes HTTP",
                endpoint.url
            )),
            Protocol::Http => None,
        };
        Telemetry { endpoint, refused }
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "http" | "http/protobuf" => Ok(Protocol::Http),
        "grpc" => Ok(Protocol::Grpc),
        _ => Err("http".into()),
    }
}

/// `HOST:PORT` as MCP Mesh has it, or a URL.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    let read = || {
        let with_scheme = text.contains("://");
        let url = if with_scheme { text.to_owned() } else { format!("http://{text}") };
        let uri: http::Uri = url.parse().ok()?;
        let port = match (uri.scheme_str()?, uri.port_u16()) {
            ("http" | "https", Some(port)) => port,
            ("http", None) if with_scheme => 80,
            ("https", None) => 443,
            _ => return None,
        };
        let authority = uri.authority()?;
        let host = uri.host()?;
        let understood = uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // What was read is all that stands there: no user, no odd port, no query.
        let plain = authority.as_str() == understood && uri.query().is_none() && !text.contains('#');
        plain.then(|| Endpoint { authority: format!("{host}:{port}"), url })
    };
    read().ok_or_else(|| "HOST:PORT or a URL such as http://localhost:4318, without a user, as headers are for that".into())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Sources, Values};
    use super::*;

    fn telemetry(pairs: &[(&str, &str)]) -> Telemetry {
        let sources = Sources {
            environment: pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ..Sources::default()
        };
        Config::new(&Values::new(sources).unwrap()).unwrap().exporters.telemetry
    }

    #[test]
    fn endpoints_are_hosts_with_ports_or_urls() {
        for (text, url, authority) in [
            ("localhost:4318", "http://localhost:4318", "localhost:4318"),
            ("http://tempo:4318/base", "http://tempo:4318/base", "tempo:4318"),
            ("https://api.example.com", "https://api.example.com", "api.example.com:443"),
            ("http://example.com", "http://example.com", "example.com:80"),
            ("http://[::1]:4318", "http://[::1]:4318", "[::1]:4318"),
        ] {
            let expected = Endpoint {
                url: url.into(),
                authority: authority.into(),
            };
            assert_eq!(endpoint(text), Ok(expected));
        }
        for text in [
            "tempo",
            "grpc://tempo:4317",
            "http://me:secret@tempo:4318",
            "http://tempo:",
            "http://tempo:99999",
            "http://tempo:1?x=2",
            "tempo:1#x",
            "a b:1",
            "",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn by_default_it_is_a_collector_on_this_machine() {
        let telemetry = telemetry(&[]);
        assert_eq!((telemetry.endpoint.url.as_str(), telemetry.refused), ("http://localhost:4318", None));
    }

    #[test]
    fn grpc_is_refused_with_what_to_set() {
        let refused = |pairs: &[(&str, &str)]| telemetry(pairs).refused;
        let expected =
            "TELEMETRY_PROTOCOL=grpc: meshtrace sends OTLP over HTTP; set TELEMETRY_PROTOCOL=http and TELEMETRY_ENDPOINT=http://tempo:4318";
        assert_eq!(refused(&[("TELEMETRY_PROTOCOL", "grpc"), ("TELEMETRY_ENDPOINT", "tempo:4317")]).as_deref(), Some(expected));
        let expected = "TELEMETRY_ENDPOINT=http://tempo:4317: port 4317 takes gRPC, and meshtrace sends OTLP over HTTP; \
                        set TELEMETRY_ENDPOINT=http://tempo:4318, or TELEMETRY_PROTOCOL=http if this one takes HTTP";
        assert_eq!(refused(&[("TELEMETRY_ENDPOINT", "tempo:4317")]).as_deref(), Some(expected));
        assert_eq!(refused(&[("TELEMETRY_ENDPOINT", "tempo:4317"), ("TELEMETRY_PROTOCOL", "http")]), None);
        assert_eq!(refused(&[("TELEMETRY_PROTOCOL", "HTTP/protobuf")]), None);
    }
}
