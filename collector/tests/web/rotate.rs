//! `uidmeter fleet rotate` with real servers that check tokens, and with hosts that change their mind.

use std::{
    error::Error,
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime},
};

use collector::{
    export::{auth::keys::Algorithm, http::Address},
    fleet::{
        FleetError,
        rotate::{RotateFlags, run},
    },
    token::{self, KeygenFlags, MintFlags, TokenCommand},
};
use tokio::time::timeout;

use crate::{
    Outcome,
    fleet::{ask_flags, sources},
    rig::{HANGS, Rig, Running, start},
};

/// The name of a file, and what is in it.
type Content = (String, Vec<u8>);

/// Keys, tokens and authentication files; `old` is in use.
struct Site {
    rig: Rig,
}

impl Site {
    fn new() -> Result<Self, Box<dyn Error>> {
        let site = Self { rig: Rig::new("")? };
        fs::write(site.path("ca.pem"), site.rig.servers.pem())?;
        let lines = site.keygen("old")?;
        site.configure("auth.toml", &lines)?;
        token::run(
            &TokenCommand::Mint(MintFlags {
                key: site.path("old.key"),
                algorithm: Algorithm::EdDsa,
                kid: "old".into(),
                subject: "prometheus".into(),
                issuer: "fleet".into(),
                audience: vec!["uidmeter".into()],
                permissions: vec!["metrics:read".into()],
                lifetime: "1h".into(),
                out: site.path("token"),
                owner: None,
            }),
            SystemTime::now(),
        )?;
        fs::set_permissions(site.path("token"), fs::Permissions::from_mode(0o640))?;
        Ok(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.rig.path(name)
    }

    fn text(&self, name: &str) -> Result<String, Box<dyn Error>> {
        Ok(fs::read_to_string(self.path(name))?)
    }

    fn keygen(&self, kid: &str) -> Result<String, token::TokenError> {
        let flags = KeygenFlags {
            private: self.path(&format!("{kid}.key")),
            public: None,
            algorithm: Algorithm::EdDsa,
            kid: Some(kid.into()),
            owner: None,
        };
        token::run(&TokenCommand::Keygen(flags), SystemTime::now())
    }

    /// Puts a new authentication file in place, as `uidmeter fleet rotate` does.
    fn configure(&self, name: &str, keys: &str) -> Outcome {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, format!("# ours\n[jwt]\nissuers = ['fleet']\naudiences = ['uidmeter']\n\n{keys}"))?;
        Ok(fs::rename(new, self.path(name))?)
    }

    /// A host that reads this authentication file, and again when it changes.
    fn host(&self, auth_file: &str) -> Result<Running, Box<dyn Error>> {
        let mut settings = self.rig.settings(vec![Address::Tcp(([127, 0, 0, 1], 0).into())]);
        settings.auth_file = Some(self.path(auth_file));
        start(settings)
    }

    /// To the key `new`, at hosts with TLS.
    fn flags(&self, hosts: &[String]) -> Result<RotateFlags, Box<dyn Error>> {
        let mut ask = ask_flags(Some(self.path("ca.pem")));
        ask.timeout = HANGS;
        Ok(RotateFlags {
            sources: sources(self.rig.folder.path(), hosts)?,
            file_sd: None,
            ask,
            token_file: self.path("token"),
            signing_key: self.path("new.key"),
            kid: "new".into(),
            algorithm: Algorithm::EdDsa,
            new_key: true,
            auth_file: Some(self.path("auth.toml")),
            lifetime: None,
            wait: HANGS,
            pass_over_silent: false,
            retire: false,
            dry_run: false,
        })
    }

    /// Everything that lies there, and what is in it.
    fn everything(&self) -> Result<Vec<Content>, Box<dyn Error>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.rig.folder.path())? {
            let entry = entry?;
            all.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
        }
        all.sort();
        Ok(all)
    }
}

/// What was said, and how it ended; beside the servers of this test.
async fn rotated(flags: &RotateFlags) -> Result<(String, Result<(), FleetError>), Box<dyn Error>> {
    let flags = flags.clone();
    let rotating = tokio::task::spawn_blocking(move || {
        let mut said = String::new();
        let outcome = run(&flags, None, &mut |line| said = format!("{said}{line}\n"));
        (said, outcome)
    });
    Ok(timeout(3 * HANGS, rotating).await??)
}

/// The sentence of a rotation that must fail.
async fn refused(flags: &RotateFlags) -> Result<String, Box<dyn Error>> {
    let (said, outcome) = rotated(flags).await?;
    Ok(outcome.err().ok_or(format!("rotated: {said}"))?.to_string())
}

fn kid(token: &str) -> Result<String, Box<dyn Error>> {
    let said = token::describe(token).map_err(collector::export::auth::jwt::Flaw::sentence)?;
    let kid = said.split_once("\"kid\": \"").and_then(|(_, rest)| rest.split_once('"'));
    Ok(kid.ok_or("no kid")?.0.to_owned())
}

#[tokio::test]
async fn a_key_is_changed_in_two_runs_and_hosts_accept_what_is_in_use_all_along() -> Outcome {
    let site = Site::new()?;
    let hosts = [site.host("auth.toml")?, site.host("auth.toml")?];
    let mut flags = site.flags(&hosts.each_ref().map(|host| host.address.to_string()))?;
    flags.dry_run = true;
    let before = site.everything()?;
    let (said, outcome) = rotated(&flags).await?;
    outcome?;
    assert_eq!(said.matches("would ").count(), 6, "{said}");
    assert_eq!(site.everything()?, before);
    flags.dry_run = false;
    let old = site.text("token")?;
    let (said, outcome) = rotated(&flags).await?;
    outcome?;
    assert!(said.contains("run this again with --retire"), "{said}");
    let new = site.text("token")?;
    assert_eq!((kid(&new)?, site.text("token.previous")?), ("new".to_owned(), old.clone()));
    assert_eq!(fs::metadata(site.path("token"))?.mode() & 0o7777, 0o640);
    assert!(!said.contains(&new) && !said.contains(new.rsplit('.').next().unwrap_or(&new)), "{said}");
    assert!(
        site.text("auth.toml")?.contains("kid = \"old\"") && site.text("auth.toml")?.contains("file = \"new.key.pub\"")
    );
    // Until the old key is retired, tokens of the new one are renewed as usual.
    rotated(&flags).await?.1?;
    assert_eq!(site.text("token.previous")?, old);
    flags.retire = true;
    let (said, outcome) = rotated(&flags).await?;
    outcome?;
    assert!(said.contains("2 hosts refuse the key \"old\", and accept the token in use"), "{said}");
    assert!(!site.path("token.previous").exists() && !site.text("auth.toml")?.contains("kid = \"old\""));
    assert!(site.text("auth.toml")?.starts_with("# ours\n"));
    assert!(refused(&flags).await?.contains("no key waits to be retired"));
    for host in hosts {
        host.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_host_that_has_not_heard_of_the_key_is_named_and_nothing_changes_until_it_has() -> Outcome {
    let site = Site::new()?;
    fs::copy(site.path("auth.toml"), site.path("elsewhere.toml"))?;
    let (here, there) = (site.host("auth.toml")?, site.host("elsewhere.toml")?);
    let mut flags = site.flags(&[here.address.to_string(), there.address.to_string()])?;
    flags.wait = Duration::from_secs(4);
    let old = site.text("token")?;
    let sentence = refused(&flags).await?;
    let expected = format!("1 of 2 hosts do not accept the new token: {} refuses the credentials (401)", there.address);
    assert!(sentence.starts_with("nothing has changed") && sentence.ends_with(&expected), "{sentence}");
    assert_eq!(site.text("token")?, old);
    assert!(!site.path("token.next").exists() && !site.path("token.previous").exists());
    // The lines reach it by other means; the key that was made is used.
    let key = site.text("new.key")?;
    fs::copy(site.path("auth.toml"), site.path("elsewhere.toml"))?;
    flags.wait = HANGS;
    rotated(&flags).await?.1?;
    assert_eq!((kid(&site.text("token")?)?, site.text("new.key")?), ("new".to_owned(), key));
    // It goes on accepting the old key, so the old token is not forgotten.
    (flags.retire, flags.wait) = (true, Duration::from_secs(4));
    let sentence = refused(&flags).await?;
    assert!(sentence.contains(&format!("{} still accepts it", there.address)), "{sentence}");
    assert!(site.path("token.previous").exists() && kid(&site.text("token")?)? == "new");
    fs::copy(site.path("auth.toml"), site.path("elsewhere.toml"))?;
    flags.wait = HANGS;
    rotated(&flags).await?.1?;
    assert!(!site.path("token.previous").exists());
    here.stop().await?;
    there.stop().await
}

/// Answers the questions of one token after the other: for each in order of appearance, how often it accepts it before it does
/// not any more.
fn moody(patience: &'static [usize]) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let seen: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = vec![0; 16_384];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let token = request.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
            let Ok(mut seen) = seen.lock() else { return };
            let at = seen.iter().position(|(known, _)| known == token).unwrap_or_else(|| {
                seen.push((token.to_owned(), 0));
                seen.len() - 1
            });
            seen[at].1 += 1;
            let status = if seen[at].1 <= patience.get(at).copied().unwrap_or(0) { "200 OK" } else { "401 No" };
            let body = "uidmeter_build_info{version=\"1\"} 1\n";
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Ok(address.to_string())
}

#[tokio::test]
async fn a_switch_that_a_host_then_refuses_is_taken_back() -> Outcome {
    let site = Site::new()?;
    // The first token that it sees is the new one: accepted once, when it is tried.
    let host = moody(&[1])?;
    let mut flags = site.flags(std::slice::from_ref(&host))?;
    (flags.ask, flags.wait) = (ask_flags(None), Duration::ZERO);
    let old = site.text("token")?;
    let sentence = refused(&flags).await?;
    assert!(
        sentence.starts_with("the old token is back in its place, since 1 of 1 hosts") && sentence.contains(&host),
        "{sentence}"
    );
    assert_eq!(site.text("token")?, old);
    assert_eq!(fs::metadata(site.path("token"))?.mode() & 0o7777, 0o640);
    Ok(())
}

#[tokio::test]
async fn a_key_that_is_still_needed_comes_back() -> Outcome {
    let site = Site::new()?;
    // New: tried, confirmed, and refused once the old key is gone; the old one is refused at once.
    let host = moody(&[2, 0])?;
    let mut flags = site.flags(&[host])?;
    (flags.ask, flags.wait, flags.retire) = (ask_flags(None), Duration::ZERO, true);
    let sentence = refused(&flags).await?;
    assert!(sentence.starts_with("the key \"old\" is back in the authentication file"), "{sentence}");
    assert!(site.text("auth.toml")?.contains("kid = \"old\"") && site.path("token.previous").exists());
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_away_holds_everything_up_unless_it_may_be_passed_over() -> Outcome {
    let site = Site::new()?;
    let away = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let host = site.host("auth.toml")?;
    let mut flags = site.flags(&[host.address.to_string(), away.clone()])?;
    flags.wait = Duration::from_secs(4);
    let sentence = refused(&flags).await?;
    assert!(
        sentence.contains(&format!("1 of 2 hosts do not accept the new token: {away} cannot be connected to")),
        "{sentence}"
    );
    (flags.pass_over_silent, flags.wait) = (true, HANGS);
    rotated(&flags).await?.1?;
    assert_eq!(kid(&site.text("token")?)?, "new");
    host.stop().await
}

#[tokio::test]
async fn what_cannot_be_rotated_is_said_before_anything_is_done() -> Outcome {
    let site = Site::new()?;
    let flags = site.flags(&["127.0.0.1:1".to_owned()])?;
    let before = site.everything()?;
    let no_key = RotateFlags { new_key: false, ..flags.clone() };
    assert!(refused(&no_key).await?.contains("add --new-key"));
    let locked = fs::File::open(site.rig.folder.path())?;
    let lock =
        nix::fcntl::Flock::lock(locked, nix::fcntl::FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
    assert!(refused(&flags).await?.contains("another rotation is under way"));
    drop(lock);
    fs::set_permissions(site.path("token"), fs::Permissions::from_mode(0o644))?;
    assert!(refused(&flags).await?.contains("is open to others (mode 0644)"));
    fs::set_permissions(site.path("token"), fs::Permissions::from_mode(0o640))?;
    assert_eq!(site.everything()?, before);
    fs::write(site.path("token"), "secret")?;
    assert!(refused(&flags).await?.contains("holds no token that can be followed"));
    Ok(())
}
