//! Dead letters: entries that nobody will ever take, in a stream of their own beside the one that agents write.
//!
//! A dead letter is the entry that it was, behind fields of ours that say why: `dead:entry`, `dead:stage`, `dead:reason`, `dead:plugin` where one refused
//! it, and `dead:rebuilt` where the log had lost the entry and its fields are the host's own account of a span. Ours end before the first field that is
//! not called `dead:…`; where the entry's own first field is, `dead:end` comes between. A dead letter of nothing but ours was lost before it was buried.
//!
//! - `given_up`: entries on their way there. `bury`, `look`: how the host writes them. `letter`: how they are read. `index`: which there are, by trace. `retry`: how they go back to the stream.

mod bury;
mod given_up;
mod index;
mod letter;
mod look;
mod retry;

pub(super) use bury::bury;
#[cfg(test)]
pub(super) use bury::bury_some;
pub(super) use given_up::GivenUp;
pub use index::{Burial, Index, Known, Whole};
pub use letter::Letter;

use anyhow::{Context, anyhow};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use super::RedisConfig;
use super::connect::Connector;
use super::reply::items;

/// Entries that the stream of dead letters keeps, about; older ones go. `XADD … MAXLEN ~`.
pub const DEAD_MAX: usize = 100_000;
/// Dead letters per reply: one may be as large as the largest entry.
const PAGE: usize = 200;
/// Dead letters that are removed by one command.
const REMOVE_AT_ONCE: usize = 1_000;

/// The dead letters of one stream, for an operator's commands.
#[derive(Debug)]
pub struct DeadLetters {
    connector: Connector,
    connection: MultiplexedConnection,
    stream: String,
    dead_stream: String,
}

impl DeadLetters {
    /// Those beside the stream of `config`.
    ///
    /// # Errors
    /// Settings that cannot be used, and a Redis that does not answer.
    pub async fn connect(config: &RedisConfig) -> anyhow::Result<DeadLetters> {
        let connector = Connector::new(&config.url, &config.tls).context("REDIS_URL or REDIS_TLS_* cannot be used")?;
        let connected = connector.connect().await;
        let connection =
            connected.map_err(|error| anyhow!("Redis cannot be reached: {}; REDIS_URL says where it is", connector.explain(&error)))?;
        Ok(DeadLetters {
            connector,
            connection,
            stream: config.stream.clone(),
            dead_stream: super::keys::dead_stream(&config.stream),
        })
    }

    /// The stream that retried entries go back to.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The stream of dead letters.
    pub fn dead_stream(&self) -> &str {
        &self.dead_stream
    }

    /// Which there are now. Reads all of them; none that come meanwhile are missed but the latest.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn index(&mut self) -> anyhow::Result<Index> {
        let mut index = Index::default();
        let mut from = "-".to_owned();
        loop {
            let mut range = redis::cmd("XRANGE");
            range.arg(&self.dead_stream).arg(&from).arg("+").arg("COUNT").arg(PAGE);
            let page: Value = range.query_async(&mut self.connection).await.map_err(|error| self.failed(&error))?;
            let letters: Vec<Letter> = items(&page).iter().filter_map(Letter::read).collect();
            let Some(last) = letters.last() else { return Ok(index.sorted()) };
            from = format!("({}", last.id());
            letters.iter().for_each(|letter| index.add(letter));
        }
    }

    /// The dead letters with these ids that are still there.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn letters(&mut self, ids: &[&str]) -> anyhow::Result<Vec<Letter>> {
        let mut letters = Vec::new();
        for ids in ids.chunks(PAGE) {
            let mut looking = redis::pipe();
            for id in ids {
                looking.cmd("XRANGE").arg(&self.dead_stream).arg(id).arg(id);
            }
            let replies: Vec<Value> = looking.query_async(&mut self.connection).await.map_err(|error| self.failed(&error))?;
            letters.extend(replies.iter().flat_map(items).filter_map(Letter::read));
        }
        Ok(letters)
    }

    /// Puts these dead letters of one trace back on the stream and removes them here, in one step; says how many were still there.
    ///
    /// # Errors
    /// What Redis says. If it did not answer, they have either all been put back or none, and asking again is safe.
    pub async fn retry(&mut self, ids: &[&str]) -> anyhow::Result<usize> {
        let done = retry::retry(&mut self.connection, &self.stream, &self.dead_stream, ids).await;
        done.map_err(|error| self.failed(&error))
    }

    /// Removes these for good; says how many were still there.
    ///
    /// # Errors
    /// What Redis says.
    pub async fn remove(&mut self, ids: &[&str]) -> anyhow::Result<usize> {
        let mut removed = 0;
        for ids in ids.chunks(REMOVE_AT_ONCE) {
            let done = redis::cmd("XDEL").arg(&self.dead_stream).arg(ids).query_async::<usize>(&mut self.connection).await;
            removed += done.map_err(|error| self.failed(&error))?;
        }
        Ok(removed)
    }

    fn failed(&self, error: &RedisError) -> anyhow::Error {
        anyhow!("{}: {}", self.dead_stream, self.connector.explain(error))
    }
}
