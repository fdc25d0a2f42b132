//! Connections to the API and its answers, in metrics.

use super::text::Text;
use crate::api::traffic::{End, Traffic};

pub(super) fn write(text: &mut Text, traffic: &Traffic) {
    text.gauge("meshtrace_api_connections", "Connections to the API.").count(&[], traffic.open());
    let mut ended = text.counter("meshtrace_api_connections_ended", "Connections to the API that have ended, by how they did.");
    for end in End::ALL {
        ended.count(&[("end", end.as_str())], traffic.count(end));
    }
    let mut answers = text.counter("meshtrace_api_answers", "Requests to the API that were answered, by status.");
    for (status, count) in traffic.answers() {
        answers.count(&[("status", &status.to_string())], count);
    }
}
