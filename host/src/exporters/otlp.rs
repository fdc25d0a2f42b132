//! What the otlp exporter gets from `TELEMETRY_ENDPOINT`: its config, and leave to send there and nowhere else.

use anyhow::{Context, bail};
use serde_json::json;

use crate::config::Telemetry;
use crate::plugin::{Given, Grants, HttpGrant};

/// Headers for the collector, in OpenTelemetry's own variable.
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Its config and grants.
///
/// # Errors
/// An endpoint that cannot be sent to, and what to set.
pub fn settings(telemetry: &Telemetry) -> anyhow::Result<Given> {
    if let Some(refused) = &telemetry.refused {
        bail!("{refused}");
    }
    let endpoint = &telemetry.endpoint;
    // Who names the collector in this variable means it, wherever it is: beside us, mostly.
    let grant = HttpGrant::parse(&endpoint.authority, true).with_context(|| format!("TELEMETRY_ENDPOINT={}", endpoint.url))?;
    let grants = Grants {
        http: vec![grant],
        env: vec![HEADERS.into()],
        ..Grants::default()
    };
    Ok(Given {
        told_by: Some(format!("TELEMETRY_ENDPOINT={}", endpoint.url)),
        note: Some(format!("traces are sent to {} (TELEMETRY_ENDPOINT)", endpoint.url)),
        ..Given::new(json!({ "endpoint": endpoint.url, "headers_env": HEADERS }), grants)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;

    fn telemetry(url: &str, authority: &str, refused: Option<&str>) -> Telemetry {
        Telemetry {
            endpoint: Endpoint {
                url: url.into(),
                authority: authority.into(),
            },
            refused: refused.map(str::to_owned),
        }
    }

    #[test]
    fn exactly_the_endpoint_is_granted() {
        let Given { config, grants, .. } = settings(&telemetry("https://Tempo/x", "Tempo:443", None)).unwrap();
        assert_eq!(config, r#"{"endpoint":"https://Tempo/x","headers_env":"OTEL_EXPORTER_OTLP_HEADERS"}"#);
        let http = HttpGrant {
            host: "tempo".into(),
            port: 443,
            private: true,
        };
        let expected = Grants {
            http: vec![http],
            env: vec!["OTEL_EXPORTER_OTLP_HEADERS".into()],
            ..Grants::default()
        };
        assert_eq!(grants, expected);
    }

    #[test]
    fn what_cannot_be_sent_to_stops_it() {
        let error = settings(&telemetry("http://a:1", "a:1", Some("why"))).unwrap_err();
        assert_eq!(format!("{error:#}"), "why");
        let error = settings(&telemetry("http://a%20b:1", "a%20b:1", None)).unwrap_err();
        assert!(format!("{error:#}").starts_with("TELEMETRY_ENDPOINT=http://a%20b:1: expected a host"), "{error:#}");
    }
}
