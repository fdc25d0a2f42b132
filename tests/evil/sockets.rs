//! Tries to reach Redis and the name service at an attack, past HTTP.

use std::net::{TcpStream, ToSocketAddrs, UdpSocket};

use meshtrace_plugin::{Batch, Description, Exporter, Level, Outcome, export_exporter, log};

struct Sockets;

impl Exporter for Sockets {
    fn describe() -> Description {
        Description::new("sockets", "1")
    }

    fn init(_config: &str) -> Result<Self, String> {
        Ok(Sockets)
    }

    fn export(&mut self, batch: &Batch) -> Outcome {
        if evil::is_attack(batch, "sockets") {
            let tcp = TcpStream::connect("127.0.0.1:6379").map(drop);
            let udp = UdpSocket::bind("0.0.0.0:0").map(drop);
            let name = ("example.com", 443).to_socket_addrs().map(|found| found.count());
            log!(Level::Info, "{} {} {}", evil::kind(&tcp), evil::kind(&udp), evil::kind(&name));
        }
        evil::take_all(batch)
    }
}

export_exporter!(Sockets);
