//! Test certificates: authorities and what they sign.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Who signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> rustls::pki_types::CertificateDer<'static> {
        self.0.der().clone()
    }

    /// For a server on the loopback address.
    pub(crate) fn server(&self) -> Result<Pair, Box<dyn Error>> {
        self.sign(&["127.0.0.1", "localhost"], ExtendedKeyUsagePurpose::ServerAuth, Duration::from_hours(48))
    }

    /// For a client with these names, valid for an hour.
    pub(crate) fn client(&self, names: &[&str]) -> Result<Pair, Box<dyn Error>> {
        self.client_for(names, Duration::from_hours(1))
    }

    pub(crate) fn client_for(&self, names: &[&str], validity: Duration) -> Result<Pair, Box<dyn Error>> {
        self.sign(names, ExtendedKeyUsagePurpose::ClientAuth, validity)
    }

    /// `validity` zero makes a certificate that ended an hour ago.
    fn sign(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, validity: Duration) -> Result<Pair, Box<dyn Error>> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test");
        params.subject_alt_names = names.iter().map(|name| san(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages = vec![usage];
        let now = SystemTime::now();
        let hour = Duration::from_hours(1);
        params.not_before = (now - 2 * hour).into();
        params.not_after = if validity.is_zero() { now - hour } else { now + validity }.into();
        let key = KeyPair::generate()?;
        Ok(Pair { certificate: params.signed_by(&key, &self.0)?, key })
    }
}

/// The kind of name follows from its form.
fn san(name: &str) -> Result<SanType, Box<dyn Error>> {
    Ok(if let Ok(address) = name.parse() {
        SanType::IpAddress(address)
    } else if name.contains("://") {
        SanType::URI(name.try_into()?)
    } else if name.contains('@') {
        SanType::Rfc822Name(name.try_into()?)
    } else {
        SanType::DnsName(name.try_into()?)
    })
}
