//! The Redis under torture: killed, deprived of its last second, replaced by its replica.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use redis::streams::{StreamInfoGroupsReply, StreamPendingCountReply};
use redis::{Commands, Connection, RedisResult};

use crate::support::proxy::Proxy;
use crate::support::redis_server::{GROUP, RedisServer, STREAM, configure, pending, pending_rows, undelivered};
use crate::support::{PATIENCE, eventually};

/// It writes every command down, and never starts the file anew by itself: so its end can be cut off.
const DURABLE: [&str; 8] =
    ["--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0", "--enable-debug-command", "yes"];

/// A Redis, and the wire to it.
pub struct Server {
    pub redis: RedisServer,
    pub proxy: Proxy,
    /// Where publishers find it.
    pub port: Arc<AtomicU16>,
}

/// A Redis that follows another one, and the wire between them.
pub struct Replica {
    redis: RedisServer,
    link: Proxy,
}

impl Replica {
    /// Nothing reaches it any more.
    pub fn fall_behind(&self) {
        self.link.stall(PATIENCE);
    }
}

impl Server {
    pub fn start() -> Server {
        let redis = RedisServer::start_with(&DURABLE);
        let (proxy, port) = (Proxy::start(redis.port), Arc::new(AtomicU16::new(redis.port)));
        Server { redis, proxy, port }
    }

    pub fn connect(&self) -> Connection {
        self.redis.connect()
    }

    /// Kills it and starts it again: it has everything that it has accepted.
    pub fn restart(&mut self, down: Duration) {
        self.redis.kill();
        std::thread::sleep(down);
        self.redis.restart();
    }

    /// As when the power fails: what was written in the last moments has not reached the disk.
    pub fn cut_power(&mut self, lost: Duration) {
        let log = self.log();
        let kept = fs::metadata(&log).expect("the log of commands").len();
        std::thread::sleep(lost);
        self.redis.kill();
        let file = fs::File::options().write(true).open(&log).expect("the log of commands");
        file.set_len(kept).expect("its end is cut off");
        self.redis.restart();
    }

    /// The file that commands are appended to.
    fn log(&self) -> PathBuf {
        let files = fs::read_dir(self.redis.dir.path().join("appendonlydir")).expect("a directory");
        let logs = files.filter_map(|file| Some(file.ok()?.path())).filter(|path| path.to_string_lossy().ends_with(".incr.aof"));
        logs.max_by_key(|path| path.metadata().and_then(|about| about.modified()).ok()).expect("a log of commands")
    }

    /// Kills it; a replica goes on, which has missed the last moments.
    pub fn fail_over(&mut self, lag: Duration) {
        let replica = self.replicate();
        replica.fall_behind();
        std::thread::sleep(lag);
        self.promote(replica);
    }

    /// A replica that follows.
    pub fn replicate(&self) -> Replica {
        let (redis, link) = (RedisServer::start_with(&DURABLE), Proxy::start_raw(self.redis.port));
        let mut connection = redis.connect();
        // By command, not by argument: it is no replica any more when it is started again.
        redis::cmd("REPLICAOF").arg("127.0.0.1").arg(link.port).exec(&mut connection).expect("REPLICAOF");
        eventually("the replica follows", || {
            let info: String = redis::cmd("INFO").arg("replication").query(&mut connection).ok()?;
            info.contains("master_link_status:up").then_some(())
        });
        Replica { redis, link }
    }

    /// Kills it; this replica goes on, with what had reached it.
    pub fn promote(&mut self, replica: Replica) {
        self.redis.kill();
        let Replica { redis, link } = replica;
        let mut connection = redis.connect();
        redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut connection).expect("REPLICAOF");
        // What was on its way comes too late.
        drop(link);
        let role: (String, redis::Value, redis::Value) = redis::cmd("ROLE").query(&mut connection).expect("ROLE");
        assert_eq!(role.0, "master", "the replica has been promoted");
        self.redis = redis;
        self.port.store(self.redis.port, Ordering::Relaxed);
        self.proxy.lead_to(self.redis.port);
    }

    /// Ends the connections of all clients.
    pub fn kill_clients(&self) {
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").exec(&mut self.connect()).expect("CLIENT KILL");
    }

    /// Stands still, by itself or because it is stopped.
    pub fn pause(&self, time: Duration, by_signal: bool) {
        if by_signal {
            self.redis.signal(libc::SIGSTOP);
            std::thread::sleep(time);
            self.redis.signal(libc::SIGCONT);
        } else {
            redis::cmd("DEBUG").arg("SLEEP").arg(time.as_secs_f64()).exec(&mut self.connect()).expect("DEBUG SLEEP");
        }
    }

    /// Has no memory left for so long.
    pub fn exhaust(&self, time: Duration) {
        let mut connection = self.connect();
        configure(&mut connection, "maxmemory", "1");
        std::thread::sleep(time);
        configure(&mut connection, "maxmemory", "0");
    }

    /// Forgets our group.
    pub fn forget_group(&self) {
        let destroyed: RedisResult<()> = redis::cmd("XGROUP").arg("DESTROY").arg(STREAM).arg(GROUP).query(&mut self.connect());
        destroyed.expect("XGROUP DESTROY");
    }

    /// Entries that the group has not been given, or has not acknowledged.
    pub fn backlog(&self, connection: &mut Connection) -> u64 {
        (undelivered(connection, GROUP).saturating_add(pending(connection, GROUP))) as u64
    }

    /// Lets go of all entries before the first that is not acknowledged.
    pub fn forget_settled(&self, connection: &mut Connection) {
        let rows: StreamPendingCountReply = connection.xpending_count(STREAM, GROUP, "-", "+", 1).expect("XPENDING");
        if let Some(oldest) = rows.ids.first() {
            redis::cmd("XTRIM").arg(STREAM).arg("MINID").arg("~").arg(&oldest.id).exec(connection).expect("XTRIM");
        }
    }

    /// The last entry of the stream.
    pub fn last_entry(&self) -> String {
        last_id(&mut self.connect()).expect("XINFO STREAM")
    }

    /// Whether the group has acknowledged everything up to this entry.
    pub fn is_settled_up_to(&self, entry: &str) -> bool {
        let mut connection = self.connect();
        let groups: StreamInfoGroupsReply = redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query(&mut connection).expect("XINFO GROUPS");
        let given = groups.groups.iter().any(|own| own.name == GROUP && in_order(&own.last_delivered_id) >= in_order(entry));
        let rows: StreamPendingCountReply = connection.xpending_count(STREAM, GROUP, "-", "+", 1).expect("XPENDING");
        given && rows.ids.first().is_none_or(|oldest| in_order(&oldest.id) > in_order(entry))
    }

    /// What the group has not acknowledged, and the last entry that it was given.
    pub fn left(&self) -> (BTreeSet<String>, String) {
        let mut connection = self.connect();
        let groups: StreamInfoGroupsReply = redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query(&mut connection).expect("XINFO GROUPS");
        let given = groups.groups.into_iter().find(|own| own.name == GROUP).map_or("0-0".to_owned(), |own| own.last_delivered_id);
        (pending_rows(&mut connection).into_iter().map(|(entry, ..)| entry).collect(), given)
    }

    /// Whether the group has been given everything, and nothing is pending in it.
    pub fn is_settled(&self) -> bool {
        let mut connection = self.connect();
        let Ok(last) = last_id(&mut connection) else { return false };
        let groups: StreamInfoGroupsReply = match redis::cmd("XINFO").arg("GROUPS").arg(STREAM).query(&mut connection) {
            Ok(groups) => groups,
            Err(_) => return false,
        };
        let delivered = groups.groups.iter().any(|own| own.name == GROUP && own.last_delivered_id == last);
        delivered && pending(&mut connection, GROUP) == 0
    }
}

/// The last id of the stream. The library's own reading of this reply fails when an entry in it has fields that are no text.
fn last_id(connection: &mut Connection) -> RedisResult<String> {
    let mut about: HashMap<String, redis::Value> = redis::cmd("XINFO").arg("STREAM").arg(STREAM).query(connection)?;
    Ok(redis::from_redis_value(about.remove("last-generated-id").unwrap_or(redis::Value::Nil))?)
}

/// The two numbers of an entry's id.
pub fn in_order(id: &str) -> (u64, u64) {
    let (time, number) = id.split_once('-').expect("an id");
    (time.parse().expect("a time"), number.parse().expect("a number"))
}
