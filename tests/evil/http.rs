//! Asks for the URL that a trace's root operation is, follows redirects, reads answers however long they are, and says what came of it.

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, export_exporter, log};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, IncomingResponse, OutgoingRequest, Scheme, http_error_code};
use wasip2::io::streams::StreamError;

struct Http;

impl Exporter for Http {
    fn describe() -> Description {
        Description::new("http", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Http)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        for trace in batch.traces().filter(|trace| trace.root_name().contains("://")) {
            match get(trace.root_name()) {
                Ok(said) => log!(Level::Info, "{}: {said}", trace.id_text()),
                Err(code) => log!(Level::Info, "{}: {code:?}", trace.id_text()),
            }
        }
        evil::take_all(batch)
    }
}

fn get(url: &str) -> Result<String, ErrorCode> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let set = request.set_scheme(Some(&scheme)).and(request.set_authority(Some(authority))).and(request.set_path_with_query(Some(path)));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let answer = handle(request, None)?;
    answer.subscribe().block();
    let response = answer.get().and_then(Result::ok).unwrap_or(Err(ErrorCode::InternalError(None)))?;
    if let Some(location) = response.headers().get("location").first() {
        let location = String::from_utf8_lossy(location).into_owned();
        return get(&location).map(|said| format!("{} to {said}", response.status()));
    }
    let bytes = read(&response)?;
    Ok(format!("{} with {bytes} bytes", response.status()))
}

fn read(response: &IncomingResponse) -> Result<usize, ErrorCode> {
    let Ok(body) = response.consume() else { return Ok(0) };
    let Ok(stream) = body.stream() else { return Ok(0) };
    let mut bytes = 0;
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(more) => bytes += more.len(),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => {
                let code = http_error_code(&error);
                return Err(code.unwrap_or_else(|| ErrorCode::InternalError(Some(error.to_debug_string()))));
            }
        }
    }
}

export_exporter!(Http);
