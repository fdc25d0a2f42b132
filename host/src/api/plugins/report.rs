//! `GET /plugins/{name}/report`: what a plugin reports of itself, passed through.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;

use super::{Known, name};
use crate::api::Api;
use crate::api::reply::{self, Failure};

pub(in crate::api) const PATH: &str = "/plugins/{name}/report";

pub(super) fn route() -> Router<Arc<Api>> {
    Router::new().route(PATH, get(own_report))
}

async fn own_report(State(api): State<Arc<Api>>, uri: Uri, path: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let name = name(&uri, path)?;
    Known::ask(&api).one(&name)?;
    report(&api, &name).await?.ok_or(Failure::NoReport(name))
}

/// What a plugin answered: JSON, nothing, or why there is nothing.
type Told = Result<Option<Bytes>, String>;

/// Reports that are under way, by the plugin's name: one of each at most. Each is a call that traces wait for.
#[derive(Default)]
pub(in crate::api) struct Reports(Mutex<HashMap<String, Arc<OnceCell<Told>>>>);

impl Reports {
    /// The report that is under way, or is to be.
    fn next(&self, plugin: &str) -> Arc<OnceCell<Told>> {
        Arc::clone(self.lock().entry(plugin.to_owned()).or_default())
    }

    /// It is done: whoever asks from now on asks anew.
    fn done(&self, plugin: &str) {
        self.lock().remove(plugin);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<OnceCell<Told>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The report of the plugin called `plugin` as an answer; `None` when it has none. Whoever asks while one is under way gets that one.
pub(in crate::api) async fn report(api: &Api, plugin: &str) -> Result<Option<Response>, Failure> {
    let under_way = api.reports.next(plugin);
    let asking = under_way.get_or_init(|| async {
        let told = ask(api, plugin).await;
        api.reports.done(plugin);
        told
    });
    // Should who began it go away, the next one that waits asks.
    match api.answer(&format!("the {plugin} plugin"), Box::pin(asking)).await? {
        Ok(Some(report)) => Ok(Some(reply::encoded(StatusCode::OK, report.clone()))),
        Ok(None) => Ok(None),
        Err(reason) => Err(Failure::Unanswered(format!("the {plugin} plugin has no report: {reason}"))),
    }
}

async fn ask(api: &Api, plugin: &str) -> Told {
    let Some(report) = api.state.pipeline.report(plugin).await? else { return Ok(None) };
    // A plugin may write anything; what is not JSON is not called JSON.
    match serde_json::from_str::<&RawValue>(&report) {
        Ok(_) => Ok(Some(report.into())),
        Err(error) => Err(format!("not JSON ({error})")),
    }
}
