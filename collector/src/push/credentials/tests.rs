//! What files amount to, and that nothing of a secret is in any sentence.

use std::{error::Error, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use rcgen::{CertificateParams, KeyPair};

use super::{Credentials, Files, HeaderValue, Push};

type Outcome = Result<(), Box<dyn Error>>;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> std::io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> Result<Option<PathBuf>, Box<dyn Error>> {
        let path = self.0.path().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(Some(path))
    }
}

fn authorization(push: &Push) -> Result<Option<String>, Vec<String>> {
    let credentials = Files::read(push).and_then(|files| Credentials::new(push, &files))?;
    assert!(credentials.authorization.as_ref().is_none_or(HeaderValue::is_sensitive));
    Ok(credentials.authorization.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

#[test]
fn tokens_and_passwords_become_headers_without_the_end_of_their_line() -> Outcome {
    let place = Place::new()?;
    let token = Push { bearer_token_file: place.file("token", " abc.DEF-_~+/= \n", 0o600)?, ..Push::default() };
    assert_eq!(authorization(&token), Ok(Some("Bearer abc.DEF-_~+/=".into())));
    let password_file = place.file("password", "pass word:ä \r\n", 0o600)?;
    let basic = Push { username: Some("ann".into()), password_file, ..Push::default() };
    // `printf 'ann:pass word:ä ' | base64`.
    assert_eq!(authorization(&basic), Ok(Some("Basic YW5uOnBhc3Mgd29yZDrDpCA=".into())));
    assert_eq!(authorization(&Push::default()), Ok(None));
    Ok(())
}

#[test]
fn what_is_wrong_with_each_file_is_told_without_its_contents() -> Outcome {
    let place = Place::new()?;
    let secret = "hunter2";
    let cases = [
        (
            Push { bearer_token_file: place.file("a", &format!("{secret} x"), 0o600)?, ..Push::default() },
            "does not hold a token",
        ),
        (
            Push { bearer_token_file: place.file("b", secret, 0o640)?, ..Push::default() },
            "is open to others (mode 0640)",
        ),
        (Push { bearer_token_file: place.file("c", "\n", 0o600)?, ..Push::default() }, "does not hold a token"),
        (Push { bearer_token_file: Some("/none".into()), ..Push::default() }, "/none cannot be read"),
        (
            Push { username: Some("u".into()), password_file: place.file("d", "\n", 0o600)?, ..Push::default() },
            "is empty",
        ),
        (Push { ca_file: place.file("e", secret, 0o644)?, ..Push::default() }, "has no certificate in PEM"),
        (Push { ca_file: place.file("f", "-----BEGIN CERTIFICATE-----\nx", 0o644)?, ..Push::default() }, "is not PEM"),
        (Push { ca_file: place.file("g", "", 0o646)?, ..Push::default() }, "can be changed by everybody"),
    ];
    for (push, expected) in cases {
        let told = authorization(&push).err().unwrap_or_default();
        assert!(told.len() == 1 && told[0].contains(expected) && !told[0].contains(secret), "{expected}: {told:?}");
    }
    Ok(())
}

#[test]
fn a_certificate_and_a_key_must_be_of_one_pair() -> Outcome {
    let place = Place::new()?;
    let (key, other) = (KeyPair::generate()?, KeyPair::generate()?);
    let certificate = CertificateParams::new(vec!["host".to_owned()])?.self_signed(&key)?.pem();
    let push = |key: &KeyPair| -> Result<Push, Box<dyn Error>> {
        let certificate_file = place.file("certificate", &certificate, 0o644)?;
        let key_file = place.file("key", &key.serialize_pem(), 0o600)?;
        Ok(Push { ca_file: certificate_file.clone(), certificate_file, key_file, ..Push::default() })
    };
    let matching = push(&key)?;
    assert_eq!(authorization(&matching), Ok(None));
    let credentials = Credentials::new(&matching, &Files::read(&matching).map_err(|problems| problems.join("; "))?);
    assert!(credentials.is_ok_and(|credentials| credentials.tls.client_cert().is_some()));
    let told = authorization(&push(&other)?).err().unwrap_or_default().join("; ");
    assert!(told.contains("cannot be used together"), "{told}");
    let broken = Push { key_file: place.file("key", "x", 0o600)?, ..matching };
    let told = authorization(&broken).err().unwrap_or_default().join("; ");
    assert!(told.contains("is not PEM of a private key"), "{told}");
    Ok(())
}
