//! The samples of `packaging/web`, with the certificates and keys that they name.

use std::{error::Error, fs, os::unix::fs::PermissionsExt as _, path::Path};

/// A copy of the samples with the certificates and keys that they name.
pub(crate) fn samples() -> Result<tempfile::TempDir, Box<dyn Error>> {
    let folder = copy()?;
    let place = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    fs::write(place("tls.crt"), made.cert.pem())?;
    fs::write(place("clients.crt"), made.cert.pem())?;
    fs::write(place("tls.key"), made.signing_key.serialize_pem())?;
    fs::set_permissions(place("tls.key"), fs::Permissions::from_mode(0o600))?;
    fs::write(place("token.key.pub"), rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?.public_key_pem())?;
    Ok(folder)
}

/// A copy of the samples alone.
pub(crate) fn copy() -> Result<tempfile::TempDir, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/web"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
    }
    Ok(folder)
}
