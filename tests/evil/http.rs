//! Asks for the URL that a trace's root operation is, follows redirects, reads answers however long they are, and says what came of it. For
//! `hold URL` it asks three times, and reads nothing; for `post URL` it sends 200 KB.

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, export_exporter, log};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme, http_error_code,
};
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
            let said = match trace.root_name().split_once(' ') {
                Some(("hold", url)) => hold(url),
                Some((_, url)) => post(url),
                None => get(trace.root_name()),
            };
            match said {
                Ok(said) => log!(Level::Info, "{}: {said}", trace.id_text()),
                Err(code) => log!(Level::Info, "{}: {code:?}", trace.id_text()),
            }
        }
        evil::take_all(batch)
    }
}

/// Has three requests under way.
fn hold(url: &str) -> Result<String, ErrorCode> {
    let held = [ask(request(url)?), ask(request(url)?), ask(request(url)?)];
    let said = held.iter().map(|answer| answer.as_ref().err().map_or_else(|| "held".into(), |code| format!("{code:?}")));
    Ok(said.collect::<Vec<_>>().join(", "))
}

fn post(url: &str) -> Result<String, ErrorCode> {
    let request = request(url)?;
    let body = request.set_method(&Method::Post).and_then(|()| request.body()).map_err(|()| ErrorCode::InternalError(None))?;
    let answer = handle(request, None)?;
    if let Ok(stream) = body.write() {
        // How it ends is in the answer.
        let _ = (0..50).all(|_| stream.blocking_write_and_flush(&[b'x'; 4_000]).is_ok());
    }
    let _ = OutgoingBody::finish(body, None);
    wait(answer).map(|response| response.status().to_string())
}

fn get(url: &str) -> Result<String, ErrorCode> {
    let response = ask(request(url)?)?;
    if let Some(location) = response.headers().get("location").first() {
        let location = String::from_utf8_lossy(location).into_owned();
        return get(&location).map(|said| format!("{} to {said}", response.status()));
    }
    let bytes = read(&response)?;
    Ok(format!("{} with {bytes} bytes", response.status()))
}

fn request(url: &str) -> Result<OutgoingRequest, ErrorCode> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let set = request.set_scheme(Some(&scheme)).and(request.set_authority(Some(authority))).and(request.set_path_with_query(Some(path)));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    Ok(request)
}

fn ask(request: OutgoingRequest) -> Result<IncomingResponse, ErrorCode> {
    wait(handle(request, None)?)
}

fn wait(answer: FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    answer.subscribe().block();
    answer.get().and_then(Result::ok).unwrap_or(Err(ErrorCode::InternalError(None)))
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
