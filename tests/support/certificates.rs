//! An authority of the test's own, and what it has signed.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::redis_server::RedisServer;

/// `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` in a directory.
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    pub fn new() -> Certificates {
        let dir = tempfile::tempdir().expect("a directory");
        let make = |name: &str, more: &[&str]| {
            let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
            let subject = format!("/CN=meshtrace test {name}");
            let base = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
            openssl(dir.path(), &[&base[..], &["-subj", &subject, "-keyout", &key, "-out", &certificate], more].concat());
        };
        let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"];
        make("ca", &[]);
        make("server", &[&signed[..], &["-addext", "subjectAltName=IP:127.0.0.1"]].concat());
        make("client", &signed);
        Certificates { dir }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// A server that speaks TLS on `tls_port`, and without it on its own port, for the test.
    pub fn server(&self, tls_port: u16, more: &[&str]) -> RedisServer {
        let (ca, certificate, key) = (self.path("ca.pem"), self.path("server.pem"), self.path("server.key"));
        let port = tls_port.to_string();
        let tls = ["--tls-port", &port, "--tls-ca-cert-file", &ca, "--tls-cert-file", &certificate, "--tls-key-file", &key];
        RedisServer::start_with(&[&tls[..], more].concat())
    }
}

fn openssl(dir: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl starts");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
