//! What the reader's connection is encrypted with: the meaning of `REDIS_TLS_*` that the client library gives them, too.

use std::sync::Arc;

use anyhow::Context;
use redis::TlsCertificates;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// TLS 1.2 and 1.3. `insecure`: any certificate will do.
///
/// # Errors
/// What is no certificate or key, or a key that belongs to another certificate.
pub(super) fn client(certificates: &TlsCertificates, insecure: bool) -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match insecure {
        true => config.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        false => config.with_root_certificates(roots(certificates)?),
    };
    let config = match &certificates.client_tls {
        Some(own) => {
            let chain = CertificateDer::pem_slice_iter(&own.client_cert).collect::<Result<_, _>>().context("REDIS_TLS_CERT")?;
            let key = PrivateKeyDer::from_pem_slice(&own.client_key).context("REDIS_TLS_KEY")?;
            config.with_client_auth_cert(chain, key).context("REDIS_TLS_CERT and REDIS_TLS_KEY do not go together")?
        }
        None => config.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The authorities that are trusted: those that were given, else the system's.
fn roots(certificates: &TlsCertificates) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match &certificates.root_cert {
        Some(pem) => {
            for authority in CertificateDer::pem_slice_iter(pem) {
                roots.add(authority.context("REDIS_TLS_CA")?).context("REDIS_TLS_CA")?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

/// `REDIS_TLS_SKIP_VERIFY`: whoever answers is taken for Redis, but has to hold the key of the certificate that it shows.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
