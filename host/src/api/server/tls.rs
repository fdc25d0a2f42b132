//! What connections are encrypted with.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Certificate;

/// TLS 1.2 and 1.3 with this certificate. The files are read now; a new certificate needs a restart.
///
/// # Errors
/// A file that cannot be read or holds something else, and a key that belongs to another certificate.
pub fn acceptor(certificate: &Certificate) -> anyhow::Result<TlsAcceptor> {
    let Certificate { chain, key } = certificate;
    let named = |variable: &str, file: &Path, expected: &str| format!("{variable}={}: expected {expected}", file.display());
    let in_chain = || named("MESHTRACE_TLS_CERT", chain, "a PEM file with a certificate and those that vouch for it");
    let in_key = || named("MESHTRACE_TLS_KEY", key, "a PEM file with the private key of MESHTRACE_TLS_CERT");
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).with_context(in_chain)?;
    ensure!(!certificates.is_empty(), "{}: there is none in it", in_chain());
    let key = PrivateKeyDer::from_pem_file(key).with_context(in_key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(certificates, key).with_context(in_key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
