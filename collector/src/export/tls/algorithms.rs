//! Versions, suites and groups by the names of the web configuration file → those of the library.

use rustls::{
    CipherSuite as Id, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs},
    version::{TLS12, TLS13},
};

use super::super::web_config::{CipherSuite, Curve, TlsSettings, TlsVersion};

/// The library's algorithms, narrowed and ordered as configured. Suites of TLS 1.3 always stay.
pub(super) fn provider(settings: &TlsSettings) -> CryptoProvider {
    let all = aws_lc_rs::default_provider();
    let cipher_suites = if settings.cipher_suites.is_empty() {
        all.cipher_suites
    } else {
        let newest = all.cipher_suites.iter().copied().filter(|suite| matches!(suite, SupportedCipherSuite::Tls13(_)));
        let chosen = settings
            .cipher_suites
            .iter()
            .filter_map(|wanted| all.cipher_suites.iter().copied().find(|suite| suite.suite() == id(*wanted)));
        newest.chain(chosen).collect()
    };
    let kx_groups = if settings.curves.is_empty() {
        all.kx_groups
    } else {
        settings.curves.iter().map(|curve| group(*curve)).collect()
    };
    CryptoProvider { cipher_suites, kx_groups, ..all }
}

/// The newest first.
pub(super) fn versions(settings: &TlsSettings) -> Vec<&'static SupportedProtocolVersion> {
    let allowed = settings.min_version..=settings.max_version;
    [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)]
        .into_iter()
        .filter(|(version, _)| allowed.contains(version))
        .map(|(_, version)| version)
        .collect()
}

fn id(suite: CipherSuite) -> Id {
    match suite {
        CipherSuite::EcdsaAes128 => Id::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::EcdsaAes256 => Id::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::EcdsaChaCha20 => Id::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::RsaAes128 => Id::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::RsaAes256 => Id::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::RsaChaCha20 => Id::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn group(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::X25519 => aws_lc_rs::kx_group::X25519,
        Curve::P256 => aws_lc_rs::kx_group::SECP256R1,
        Curve::P384 => aws_lc_rs::kx_group::SECP384R1,
    }
}
