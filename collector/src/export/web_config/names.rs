//! Names of Go's `crypto/tls` → what our TLS library speaks.
//!
//! Versions, curves and types of client authentication are those that the exporter toolkit knows
//! (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>), suites those that
//! `tls.CipherSuites()` has returned in any release of Go that it supports.

use super::{CipherSuite, ClientAuth, Curve, TlsVersion};

/// What a name of the schema stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<T> {
    /// Our library has it.
    Spoken(T),
    /// Our library lacks it.
    Unspoken,
}

use Meaning::{Spoken, Unspoken};

pub(super) const VERSIONS: [(&str, Meaning<TlsVersion>); 4] = [
    ("TLS13", Spoken(TlsVersion::Tls13)),
    ("TLS12", Spoken(TlsVersion::Tls12)),
    ("TLS11", Unspoken),
    ("TLS10", Unspoken),
];

pub(super) const CURVES: [(&str, Meaning<Curve>); 4] = [
    ("CurveP256", Spoken(Curve::P256)),
    ("CurveP384", Spoken(Curve::P384)),
    ("CurveP521", Unspoken),
    ("X25519", Spoken(Curve::X25519)),
];

pub(super) const CLIENT_AUTH: [(&str, Meaning<ClientAuth>); 7] = [
    ("", Spoken(ClientAuth::None)),
    ("NoClientCert", Spoken(ClientAuth::None)),
    ("RequestClientCert", Spoken(ClientAuth::Request)),
    ("RequireAnyClientCert", Spoken(ClientAuth::RequireAny)),
    // The toolkit's older spelling of the same.
    ("RequireClientCert", Spoken(ClientAuth::RequireAny)),
    ("VerifyClientCertIfGiven", Spoken(ClientAuth::VerifyIfGiven)),
    ("RequireAndVerifyClientCert", Spoken(ClientAuth::RequireAndVerify)),
];

/// A suite as a configuration may name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    /// Of TLS 1.2.
    Tls12(CipherSuite),
    /// Of TLS 1.3, where every suite is always on, as in Go.
    Tls13,
}

pub(super) const SUITES: [(&str, Meaning<Suite>); 18] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Spoken(Suite::Tls12(CipherSuite::EcdsaAes128))),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Spoken(Suite::Tls12(CipherSuite::EcdsaAes256))),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Spoken(Suite::Tls12(CipherSuite::EcdsaChaCha20))),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Spoken(Suite::Tls12(CipherSuite::RsaAes128))),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Spoken(Suite::Tls12(CipherSuite::RsaAes256))),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Spoken(Suite::Tls12(CipherSuite::RsaChaCha20))),
    ("TLS_AES_128_GCM_SHA256", Spoken(Suite::Tls13)),
    ("TLS_AES_256_GCM_SHA384", Spoken(Suite::Tls13)),
    ("TLS_CHACHA20_POLY1305_SHA256", Spoken(Suite::Tls13)),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", Unspoken),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", Unspoken),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", Unspoken),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", Unspoken),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", Unspoken),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", Unspoken),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", Unspoken),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", Unspoken),
    ("TLS_RSA_WITH_3DES_EDE_CBC_SHA", Unspoken),
];

/// What `name` means, or the sentence that says that it means nothing.
pub(super) fn look_up<T: Copy>(
    what: &str,
    name: &str,
    table: &[(&'static str, Meaning<T>)],
) -> Result<Meaning<T>, String> {
    if let Some((_, meaning)) = table.iter().find(|(known, _)| *known == name) {
        return Ok(*meaning);
    }
    let known: Vec<&str> = table.iter().map(|(known, _)| *known).filter(|known| !known.is_empty()).collect();
    let hint = super::super::document::nearest(name, &known)
        .map_or_else(|| format!("; known are {}", known.join(", ")), |nearest| format!("; did you mean {nearest}?"));
    Err(format!("{what} {:?} is unknown{hint}", super::super::document::bounded(name)))
}
