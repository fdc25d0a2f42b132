//! Which HTTP requests a plugin may send.

use std::sync::Arc;

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::{Counters, Denial, Grants, Limits};

type Answer = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// Decides on every request of one instance, before anything of it leaves the host.
pub(super) struct HttpPolicy {
    plugin: Arc<str>,
    counters: Arc<Counters>,
}

impl HttpPolicy {
    /// The policy of the plugin called `plugin`.
    pub fn new(_grants: &Grants, _limits: &Limits, counters: Arc<Counters>, plugin: Arc<str>) -> HttpPolicy {
        HttpPolicy { plugin, counters }
    }

    fn deny(&self, authority: &str) {
        let first = self.counters.deny(Denial {
            what: format!("HTTP to {authority}"),
            grant: format!("http = [{authority:?}]"),
        });
        if first {
            tracing::warn!(plugin = %self.plugin, authority, "an HTTP request was denied");
        }
    }
}

impl WasiHttpHooks for HttpPolicy {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _written: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answer, Error>> + Send> {
        self.deny(request.uri().authority().map_or("", |authority| authority.as_str()));
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
