//! A wire of ours between a host and Redis, with faults: it cuts connections in the middle of a frame, stalls, and answers in the server's place.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::resp::{frame_len, name};

/// Goes to the server in the place of an `EXEC` that is answered with an error.
const DISCARD: &[u8] = b"*1\r\n$7\r\nDISCARD\r\n";

/// A port that leads to a Redis, until this value is dropped.
pub struct Proxy {
    pub port: u16,
    wire: Arc<Wire>,
    acceptor: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Wire {
    target: AtomicU16,
    closed: AtomicBool,
    /// Whether what passes is bytes and nothing else: it only ever stalls.
    is_raw: bool,
    faults: Mutex<Faults>,
    open: Mutex<Vec<Weak<Link>>>,
}

/// What is to go wrong next.
#[derive(Default)]
struct Faults {
    /// Replies that will be cut in the middle, and their connections with them.
    replies_to_cut: usize,
    /// Commands, likewise.
    commands_to_cut: usize,
    answers: Vec<Answer>,
    /// Commands that reach the server and whose replies reach nobody.
    unanswered: Vec<(String, usize)>,
    stalled_until: Option<Instant>,
    answered: u64,
    cut: u64,
}

/// Commands that never reach the server.
struct Answer {
    command: String,
    error: String,
    left: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Leads to the server on this port.
    pub fn start(target: u16) -> Proxy {
        Proxy::new(target, false)
    }

    /// Likewise, for what is no sequence of commands and replies, as between a server and its replica. It can be stalled and ended, and nothing else.
    pub fn start_raw(target: u16) -> Proxy {
        Proxy::new(target, true)
    }

    fn new(target: u16, is_raw: bool) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let wire = Arc::new(Wire {
            target: AtomicU16::new(target),
            closed: AtomicBool::new(false),
            is_raw,
            faults: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&wire);
        let acceptor = thread("proxy", move || accept(&listener, &accepting));
        Proxy { port, wire, acceptor: Some(acceptor) }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// New connections go to another server, and the old ones end.
    pub fn lead_to(&self, target: u16) {
        self.wire.target.store(target, Ordering::Relaxed);
        self.cut_all();
    }

    /// Ends all connections.
    pub fn cut_all(&self) {
        for link in lock(&self.wire.open).drain(..).filter_map(|link| link.upgrade()) {
            link.end();
        }
    }

    /// Passes on a half of each of the next replies, and ends the connection.
    pub fn cut_replies(&self, count: usize) {
        lock(&self.wire.faults).replies_to_cut += count;
    }

    /// Passes on a half of each of the next commands, and ends the connection.
    pub fn cut_commands(&self, count: usize) {
        lock(&self.wire.faults).commands_to_cut += count;
    }

    /// Answers the next `count` commands of this name with an error such as `LOADING …`, without asking the server. What stands in a transaction is let
    /// through: it is accepted or refused as a whole, when its `EXEC` is answered.
    pub fn answer(&self, command: &str, error: &str, count: usize) {
        let (command, error) = (command.to_owned(), error.to_owned());
        lock(&self.wire.faults).answers.push(Answer { command, error, left: count });
    }

    /// Has the server do the next `count` commands of this name, and ends the connection in the place of the reply. In a transaction that is its `EXEC`.
    pub fn lose_replies(&self, command: &str, count: usize) {
        lock(&self.wire.faults).unanswered.push((command.to_owned(), count));
    }

    /// Lets nothing through for so long.
    pub fn stall(&self, time: Duration) {
        lock(&self.wire.faults).stalled_until = Some(Instant::now() + time);
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        let mut faults = lock(&self.wire.faults);
        let Faults { answered, cut, .. } = *faults;
        *faults = Faults { answered, cut, ..Faults::default() };
    }

    /// Commands that were answered in the server's place so far.
    pub fn answered(&self) -> u64 {
        lock(&self.wire.faults).answered
    }

    /// Frames that were cut in two, or lost, so far.
    pub fn cut(&self) -> u64 {
        lock(&self.wire.faults).cut
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.closed.store(true, Ordering::Relaxed);
        self.heal();
        self.cut_all();
        // The acceptor wakes up.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).expect("a thread")
}

fn accept(listener: &TcpListener, wire: &Arc<Wire>) {
    let mut pumps = Vec::new();
    for client in listener.incoming() {
        if wire.closed.load(Ordering::Relaxed) {
            break;
        }
        let Ok(client) = client else { continue };
        // Without a server the client finds its connection closed.
        let Ok(server) = TcpStream::connect(("127.0.0.1", wire.target.load(Ordering::Relaxed))) else { continue };
        pumps.extend(connect(client, server, wire).into_iter().flatten());
        pumps.retain(|pump: &JoinHandle<()>| !pump.is_finished());
    }
    for pump in pumps {
        let _ = pump.join();
    }
}

fn connect(client: TcpStream, server: TcpStream, wire: &Arc<Wire>) -> Option<[JoinHandle<()>; 2]> {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let link = Arc::new(Link {
        client: client.try_clone().ok()?,
        server: server.try_clone().ok()?,
        slots: Mutex::default(),
        wire: Arc::clone(wire),
    });
    let mut open = lock(&wire.open);
    open.retain(|link| link.strong_count() > 0);
    open.push(Arc::downgrade(&link));
    let other = Arc::clone(&link);
    if wire.is_raw {
        let (to_server, to_client) = (server.try_clone().ok()?, client.try_clone().ok()?);
        return Some([
            thread("proxy-there", move || link.pass_bytes(client, to_server)),
            thread("proxy-back", move || other.pass_bytes(server, to_client)),
        ]);
    }
    Some([thread("proxy-commands", move || link.pass_commands(client)), thread("proxy-replies", move || other.pass_replies(server))])
}

/// Whose turn it is to answer.
enum Slot {
    Server,
    /// The server's, and nobody hears it.
    Lost,
    Ours(String),
    /// The server's, but it says this.
    InPlaceOf(String),
}

/// One connection.
struct Link {
    client: TcpStream,
    server: TcpStream,
    slots: Mutex<VecDeque<Slot>>,
    wire: Arc<Wire>,
}

/// What becomes of a command.
enum Fate {
    Passes,
    IsUnanswered,
    IsCut,
    IsAnswered(String),
    /// The transaction that it would end is not made.
    IsDiscarded(String),
}

impl Link {
    fn pass_bytes(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            self.wire.wait();
            if to.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        self.end();
    }

    fn pass_commands(&self, from: TcpStream) {
        let mut in_transaction = false;
        frames(from, |frame| {
            self.wire.wait();
            let name = name(frame);
            in_transaction = (in_transaction || name == "MULTI") && name != "EXEC" && name != "DISCARD";
            match self.wire.fate_of(&name, in_transaction) {
                Fate::Passes => {
                    lock(&self.slots).push_back(Slot::Server);
                    (&self.server).write_all(frame).is_ok()
                }
                Fate::IsUnanswered => {
                    lock(&self.slots).push_back(Slot::Lost);
                    (&self.server).write_all(frame).is_ok()
                }
                Fate::IsCut => {
                    let _ = (&self.server).write_all(&frame[..frame.len() / 2]);
                    false
                }
                Fate::IsAnswered(error) => {
                    let mut slots = lock(&self.slots);
                    slots.push_back(Slot::Ours(error));
                    self.answer_ours(&mut slots)
                }
                Fate::IsDiscarded(error) => {
                    lock(&self.slots).push_back(Slot::InPlaceOf(error));
                    (&self.server).write_all(DISCARD).is_ok()
                }
            }
        });
        self.end();
    }

    fn pass_replies(&self, from: TcpStream) {
        frames(from, |frame| {
            self.wire.wait();
            let mut slots = lock(&self.slots);
            let slot = slots.pop_front();
            if matches!(slot, Some(Slot::Lost)) {
                return false;
            }
            if self.wire.cuts_reply() {
                let _ = (&self.client).write_all(&frame[..frame.len() / 2]);
                return false;
            }
            let is_passed = match slot {
                Some(Slot::InPlaceOf(error)) => self.say(&error),
                _ => (&self.client).write_all(frame).is_ok(),
            };
            is_passed && self.answer_ours(&mut slots)
        });
        self.end();
    }

    /// Answers of ours whose turn it is.
    fn answer_ours(&self, slots: &mut VecDeque<Slot>) -> bool {
        while let Some(Slot::Ours(error)) = slots.front() {
            if !self.say(error) {
                return false;
            }
            slots.pop_front();
        }
        true
    }

    fn say(&self, error: &str) -> bool {
        (&self.client).write_all(format!("-{error}\r\n").as_bytes()).is_ok()
    }

    fn end(&self) {
        let _ = (self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both));
    }
}

/// Gives `pass` every frame that comes, until it says no, or nothing comes any more.
fn frames(mut from: TcpStream, mut pass: impl FnMut(&[u8]) -> bool) {
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 256 * 1024]);
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..count]);
        let mut done = 0;
        while let Some(length) = frame_len(&buffer[done..]) {
            if !pass(&buffer[done..done + length]) {
                return;
            }
            done += length;
        }
        buffer.drain(..done);
    }
}

impl Wire {
    /// Until nothing is stalled.
    fn wait(&self) {
        while lock(&self.faults).stalled_until.is_some_and(|until| until > Instant::now()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn fate_of(&self, name: &str, in_transaction: bool) -> Fate {
        let mut faults = lock(&self.faults);
        if faults.commands_to_cut > 0 {
            faults.commands_to_cut -= 1;
            faults.cut += 1;
            return Fate::IsCut;
        }
        let unanswered = faults.unanswered.iter_mut().find(|(command, left)| command == name && *left > 0 && !in_transaction);
        if let Some((_, left)) = unanswered {
            *left -= 1;
            faults.cut += 1;
            return Fate::IsUnanswered;
        }
        let Some(answer) = faults.answers.iter_mut().find(|answer| answer.command == name && answer.left > 0 && !in_transaction) else {
            return Fate::Passes;
        };
        answer.left -= 1;
        let error = answer.error.clone();
        faults.answers.retain(|answer| answer.left > 0);
        faults.answered += 1;
        if name == "EXEC" { Fate::IsDiscarded(error) } else { Fate::IsAnswered(error) }
    }

    fn cuts_reply(&self) -> bool {
        let mut faults = lock(&self.faults);
        let cuts = faults.replies_to_cut > 0;
        if cuts {
            faults.replies_to_cut -= 1;
            faults.cut += 1;
        }
        cuts
    }
}
