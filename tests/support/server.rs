//! Servers that plugins send requests to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that answers every connection with the same bytes, without end if so told; it runs until the tests end.
pub struct Server {
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub fn answering(answer: String, endless: &'static [u8]) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let serve = move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                // Whoever goes away early has had enough.
                let _ = stream.and_then(|stream| converse(stream, answer.as_bytes(), endless));
            }
        };
        std::thread::Builder::new().name("server".into()).spawn(serve).expect("a thread");
        Server { port, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn converse(mut stream: TcpStream, answer: &[u8], endless: &[u8]) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    stream.write_all(answer)?;
    while !endless.is_empty() {
        stream.write_all(endless)?;
    }
    Ok(())
}

/// One that answers with `ok`, once on each connection.
pub fn ok() -> Server {
    Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".into(), b"")
}
