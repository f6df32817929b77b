use std::{
    error::Error,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Algorithm, InspectFlags, KeygenFlags, MintFlags, TokenCommand, TokenError, describe, run};

type Outcome = Result<(), Box<dyn Error>>;

const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn keygen(folder: &Path, algorithm: Algorithm) -> KeygenFlags {
    KeygenFlags { private: folder.join("key"), public: None, algorithm, kid: Some("k".into()), owner: None }
}

fn mint(folder: &Path, algorithm: Algorithm) -> MintFlags {
    MintFlags {
        key: folder.join("key"),
        algorithm,
        kid: "k".into(),
        subject: "prometheus".into(),
        issuer: "fleet".into(),
        audience: vec!["uidmeter".into()],
        permissions: vec!["metrics:read".into()],
        lifetime: "1h".into(),
        out: folder.join("token"),
        owner: None,
    }
}

/// An authentication file with the lines that `keygen` has printed.
fn host(folder: &Path, lines: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path = folder.join("auth.toml");
    fs::write(&path, format!("[jwt]\nissuers = ['fleet']\naudiences = ['uidmeter']\n{lines}"))?;
    Ok(path)
}

fn inspect(folder: &Path, auth_file: Option<PathBuf>, at: SystemTime) -> Result<String, TokenError> {
    run(&TokenCommand::Inspect(InspectFlags { token: folder.join("token"), auth_file }), at)
}

fn mode(path: &Path) -> Result<u32, Box<dyn Error>> {
    Ok(fs::metadata(path)?.mode() & 0o7777)
}

#[test]
fn keys_tokens_and_hosts_fit_together() -> Outcome {
    for algorithm in Algorithm::ALL {
        let folder = tempfile::tempdir()?;
        let lines = run(&TokenCommand::Keygen(keygen(folder.path(), algorithm)), now())?;
        assert_eq!(mode(&folder.path().join("key"))?, 0o600);
        if !algorithm.is_symmetric() {
            assert_eq!(mode(&folder.path().join("key.pub"))?, 0o644);
        }
        let private = fs::read_to_string(folder.path().join("key"))?;
        assert!(private.lines().all(|line| line.starts_with("-----") || !lines.contains(line)), "a key was printed");
        let said = run(&TokenCommand::Mint(mint(folder.path(), algorithm)), now())?;
        assert!(said.contains("2027-01-15T09:00:00Z") && said.contains("credentials_file: "), "{said}");
        assert_eq!(mode(&folder.path().join("token"))?, 0o600);
        let host = host(folder.path(), &lines)?;
        let said = inspect(folder.path(), Some(host.clone()), now())?;
        assert!(said.contains("signature: good") && said.contains("{\"metrics:read\"}"), "{said}");
        let token = fs::read_to_string(folder.path().join("token"))?;
        let signature = token.rsplit_once('.').map(|(_, signature)| signature).ok_or("no signature")?;
        assert!(!said.contains(signature) && !said.contains(&token));
        let late = inspect(folder.path(), Some(host), now() + Duration::from_secs(3610));
        assert_eq!(late, Err(TokenError::Refused("the token has expired")));
    }
    Ok(())
}

#[test]
fn a_key_that_is_there_is_never_replaced() -> Outcome {
    let folder = tempfile::tempdir()?;
    let flags = keygen(folder.path(), Algorithm::EdDsa);
    run(&TokenCommand::Keygen(flags.clone()), now())?;
    let before = (fs::read(folder.path().join("key"))?, fs::read(folder.path().join("key.pub"))?);
    assert!(matches!(run(&TokenCommand::Keygen(flags.clone()), now()), Err(TokenError::File(_))));
    fs::remove_file(folder.path().join("key.pub"))?;
    assert!(matches!(run(&TokenCommand::Keygen(flags), now()), Err(TokenError::File(_))));
    assert_eq!(fs::read(folder.path().join("key"))?, before.0);
    assert!(!folder.path().join("key.pub").exists(), "half a pair was left behind");
    assert_eq!(fs::read_dir(folder.path())?.count(), 1, "no temporary file is left behind");
    Ok(())
}

#[test]
fn a_token_is_replaced_at_once() -> Outcome {
    let folder = tempfile::tempdir()?;
    run(&TokenCommand::Keygen(keygen(folder.path(), Algorithm::EdDsa)), now())?;
    run(&TokenCommand::Mint(mint(folder.path(), Algorithm::EdDsa)), now())?;
    let path = folder.path().join("token");
    let (before, inode) = (fs::read(&path)?, fs::metadata(&path)?.ino());
    run(&TokenCommand::Mint(mint(folder.path(), Algorithm::EdDsa)), now() + Duration::from_secs(1))?;
    assert_ne!(fs::read(&path)?, before);
    assert_ne!(fs::metadata(&path)?.ino(), inode, "a new file took the name of the old one");
    // When it cannot be made, the old one stays.
    let mut flags = mint(folder.path(), Algorithm::EdDsa);
    flags.key = folder.path().join("none");
    let kept = fs::read(&path)?;
    assert!(run(&TokenCommand::Mint(flags), now()).is_err());
    assert_eq!(fs::read(&path)?, kept);
    Ok(())
}

#[test]
fn what_cannot_be_minted_is_refused_in_one_sentence() -> Outcome {
    let folder = tempfile::tempdir()?;
    run(&TokenCommand::Keygen(keygen(folder.path(), Algorithm::EdDsa)), now())?;
    let good = mint(folder.path(), Algorithm::EdDsa);
    let open = folder.path().join("open");
    fs::copy(&good.key, &open)?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644))?;
    for (flags, wanted) in [
        (MintFlags { lifetime: "91days".into(), ..good.clone() }, "is not a time between 1m and 90days"),
        (MintFlags { lifetime: "59s".into(), ..good.clone() }, "is not a time between 1m and 90days"),
        (MintFlags { lifetime: "forever".into(), ..good.clone() }, "is not a time between 1m and 90days"),
        (MintFlags { permissions: vec!["metrics".into()], ..good.clone() }, "\"metrics\" is unknown"),
        (MintFlags { kid: String::new(), ..good.clone() }, "--kid must have from 1 to 256 bytes"),
        (MintFlags { subject: "a\nb".into(), ..good.clone() }, "--subject must have"),
        (MintFlags { algorithm: Algorithm::Es256, ..good.clone() }, "is not a private key for ES256"),
        (MintFlags { algorithm: Algorithm::Hs256, ..good.clone() }, "is not a private key for HS256"),
        (MintFlags { key: folder.path().join("key.pub"), ..good.clone() }, "is open to others (mode 0644)"),
        (MintFlags { key: open, ..good.clone() }, "is open to others (mode 0644)"),
        (MintFlags { owner: Some("nobody-of-that-name".into()), ..good.clone() }, "there is no user"),
        (MintFlags { owner: Some("0:no-such-group".into()), ..good.clone() }, "there is no group"),
        (MintFlags { out: folder.path().join("none/token"), ..good }, "cannot be written"),
    ] {
        let said = run(&TokenCommand::Mint(flags), now()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(wanted) && !said.contains('\n'), "{said:?} lacks {wanted}");
    }
    assert!(!folder.path().join("token").exists());
    Ok(())
}

#[test]
fn the_name_of_a_key_follows_from_the_key() -> Outcome {
    for algorithm in [Algorithm::EdDsa, Algorithm::Hs256] {
        let folder = tempfile::tempdir()?;
        let said = run(&TokenCommand::Keygen(KeygenFlags { kid: None, ..keygen(folder.path(), algorithm) }), now())?;
        let kid = said.split_once("kid = \"").and_then(|(_, rest)| rest.split_once('"')).map(|(kid, _)| kid);
        let kid = kid.ok_or("no kid")?;
        assert!(kid.len() == 16 && kid.bytes().all(|byte| byte.is_ascii_hexdigit()), "{kid}");
    }
    Ok(())
}

#[test]
fn hostile_names_stay_text_in_the_printed_lines() -> Outcome {
    let folder = tempfile::tempdir()?;
    let kid = "a\"]\\[x";
    let flags = KeygenFlags { kid: Some(kid.into()), ..keygen(folder.path(), Algorithm::EdDsa) };
    let lines = run(&TokenCommand::Keygen(flags), now())?;
    run(&TokenCommand::Mint(MintFlags { kid: kid.into(), ..mint(folder.path(), Algorithm::EdDsa) }), now())?;
    assert!(inspect(folder.path(), Some(host(folder.path(), &lines)?), now()).is_ok());
    Ok(())
}

#[test]
fn a_hostile_token_is_shown_as_harmless_ascii() -> Outcome {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = "{\"sub\":\"\\u001b[2J\u{202e}\u{9b}31m\u{e9}\\n\",\"exp\":1800000000,\"nbf\":1e300,\"iat\":-5}";
    let token = format!("{}.{}.c2lnbmF0dXJl", part("{\"alg\":\"none\"}"), part(claims));
    let said = describe(&token).map_err(crate::export::auth::jwt::Flaw::sentence)?;
    assert!(said.chars().all(|letter| letter == '\n' || (' '..='~').contains(&letter)), "{said:?}");
    assert!(said.contains("exp: 2027-01-15T08:00:00Z") && !said.contains("nbf: 1") && !said.contains("c2lnbmF0dXJl"));
    for bad in ["", "a.b", "a.b.c.d", "!.!.!", &format!("{}.{}.aa", part("[1"), part("{}")), &"a".repeat(9000)] {
        assert!(describe(bad).is_err(), "{bad}");
    }
    Ok(())
}

#[test]
fn a_token_that_others_can_read_is_not_shown() -> Outcome {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("token"), "a.b.c")?;
    fs::set_permissions(folder.path().join("token"), fs::Permissions::from_mode(0o644))?;
    let said = inspect(folder.path(), None, now()).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains("is open to others (mode 0644); run chmod 0600"), "{said}");
    Ok(())
}
