mod rig;

use std::{
    error::Error,
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use hyper::{StatusCode, header::HeaderValue};

use self::rig::{NOW, Rig, after, basic, certificate, network, token, wrong_passwords};
use super::{CredentialId, Identity, Peer, Permission, Permissions, Refusal};

type Outcome = Result<(), Box<dyn Error>>;

fn status(answer: &Result<Identity, Refusal>) -> (u16, &'static str) {
    answer.as_ref().map_or_else(|refusal| (refusal.status.as_u16(), refusal.reason), |_| (200, ""))
}

#[tokio::test]
async fn without_configuration_only_this_machine_comes_in() -> Outcome {
    let rig = Rig::new("", "")?;
    for (address, wanted) in
        [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.9.9.9", 200), ("10.0.0.1", 401), ("fe80::1", 401)]
    {
        let answer = rig.ask(&[], &network(address)?).await;
        assert_eq!(status(&answer).0, wanted, "{address}");
    }
    let local = rig.ask(&[], &Peer { unix: Some(1000), ..Peer::default() }).await.map_err(|refusal| refusal.audit)?;
    assert_eq!((&*local.name, local.permissions), ("uid:1000", Permissions::READ));
    assert_eq!(local.credential, CredentialId::Anonymous);
    assert_eq!(status(&rig.ask(&[], &Peer::default()).await), (401, "missing"), "who is nobody knows");
    // A header that nobody has asked for is not read.
    assert!(rig.ask(&["Basic !!!", "Bearer x"], &network("127.0.0.1")?).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn passwords_are_checked_once_and_then_remembered() -> Outcome {
    let rig = Rig::new(&rig::users(), "")?;
    let peer = network("10.0.0.1")?;
    let ann = rig.ask(&[&basic("ann", "sesame")], &peer).await.map_err(|refusal| refusal.audit)?;
    assert_eq!((&*ann.name, ann.permissions, ann.expires), ("ann", Permissions::READ, None));
    assert_eq!(rig.heard.password_checks(), 1);
    for _ in 0..10 {
        assert!(rig.ask(&[&basic("ann", "sesame")], &peer).await.is_ok());
    }
    assert_eq!(rig.heard.password_checks(), 1, "remembered");
    // What was wrong is not remembered: it costs the same each time.
    for round in 0..3 {
        assert_eq!(status(&rig.ask(&[&basic("ann", "wrong")], &peer).await), (401, "password"));
        assert_eq!(rig.heard.password_checks(), 2 + round);
    }
    // Another user's password, and one that differs in case.
    for (name, password) in
        [("bob", "sesame"), ("ann", "Sesame"), ("ann", "sesame "), ("Ann", "sesame"), ("", "sesame")]
    {
        assert_eq!(status(&rig.ask(&[&basic(name, password)], &peer).await), (401, "password"), "{name} {password}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_user_costs_what_a_known_one_costs() -> Outcome {
    let rig = Rig::new(&rig::users(), "")?;
    let peer = network("10.0.0.1")?;
    for (checks, name) in ["ann", "nobody", "root", "bob"].into_iter().enumerate() {
        assert_eq!(rig.heard.password_checks(), checks as u64);
        let refusal = rig.ask(&[&basic(name, "wrong")], &peer).await.err().ok_or("let in")?;
        assert_eq!((refusal.status, refusal.reason), (StatusCode::UNAUTHORIZED, "password"));
    }
    // The same hash for the same name each time: a cost that changes would tell.
    let state = rig.guard.state.load();
    for name in ["nobody", "root", "a", "b", "c"] {
        let first = state.users.hash_for(name);
        assert!(first.is_some() && (0..10).all(|_| state.users.hash_for(name) == first), "{name}");
    }
    // Even the right password of the user whose hash stands in lets no unknown user in.
    for number in 0..8 {
        let peer = network(&format!("10.0.1.{number}"))?;
        for password in ["sesame", "swordfish"] {
            assert_eq!(status(&rig.ask(&[&basic(&format!("x{number}"), password)], &peer).await), (401, "password"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn guessing_is_limited_and_locks_nobody_out_who_is_in() -> Outcome {
    let rig = Rig::new(&rig::users(), "[failures]\nburst = 3\ninterval = '2s'\n")?;
    let (shared, other) = (network("10.0.0.1")?, network("10.0.0.2")?);
    assert!(rig.ask(&[&basic("ann", "sesame")], &shared).await.is_ok());
    assert_eq!(wrong_passwords(&rig, &shared, 3).await, [(401, "password"); 3]);
    let refusal = rig.ask(&[&basic("ann", "wrong")], &shared).await.err().ok_or("let in")?;
    assert_eq!((refusal.status, refusal.reason), (StatusCode::TOO_MANY_REQUESTS, "limited"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(2)));
    assert!(refusal.www_authenticate.is_empty());
    let computed = rig.heard.password_checks();
    assert_eq!(wrong_passwords(&rig, &shared, 50).await, [(429, "limited"); 50]);
    assert_eq!(rig.heard.password_checks(), computed, "what is limited costs nothing");
    // Who is in stays in, from the same address, and after a reload, too.
    assert!(rig.ask(&[&basic("ann", "sesame")], &shared).await.is_ok());
    rig.guard.replace(rig.settings(&rig::users(), "[failures]\nburst = 3\ninterval = '2s'\n")?);
    assert!(rig.ask(&[&basic("ann", "sesame")], &shared).await.is_ok());
    assert_eq!(rig.heard.password_checks(), computed);
    // Who comes anew from there waits for an interval; others do not.
    assert_eq!(status(&rig.ask(&[&basic("bob", "swordfish")], &shared).await), (429, "limited"));
    assert!(rig.ask(&[&basic("bob", "swordfish")], &other).await.is_ok());
    assert_eq!(wrong_passwords(&rig, &other, 3).await, [(401, "password"); 3], "bob's success cost nothing");
    assert!(rig.ask_at(&[&basic("bob", "swordfish")], &shared, after(2)).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn few_passwords_are_checked_at_a_time_and_few_wait() -> Outcome {
    let rig = Arc::new(Rig::new(&rig::users(), "")?);
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..100_u8 {
        let rig = Arc::clone(&rig);
        attempts.spawn(async move {
            let Ok(peer) = network(&format!("10.1.{number}.1")) else { return (0, "") };
            status(&rig.ask(&[&basic("ann", "wrong")], &peer).await)
        });
    }
    let answers = attempts.join_all().await;
    let busy = answers.iter().filter(|answer| **answer == (429, "limited")).count();
    let wrong = answers.iter().filter(|answer| **answer == (401, "password")).count();
    assert_eq!((busy + wrong, wrong as u64), (100, rig.heard.password_checks()));
    assert!((16..40).contains(&wrong), "{wrong} of 100 were computed");
    // Afterwards there is room again.
    assert!(rig.ask(&[&basic("ann", "sesame")], &network("10.2.0.1")?).await.is_ok());
    Ok(())
}

/// As far as it goes at once; then the client hangs up.
async fn hang_up(attempt: impl Future) {
    let mut attempt = pin!(attempt);
    poll_fn(|context| {
        let _ = attempt.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_right_password_is_remembered_even_if_its_client_has_hung_up() -> Outcome {
    // Nothing is computed while the only thread for it is held, so that it is certain who hangs up before what.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build()?;
    runtime.block_on(async {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || held.recv());
        let rig = Rig::new(&rig::users(), "[failures]\nburst = 2\n")?;
        let peer = network("10.0.0.1")?;
        hang_up(rig.ask(&[&basic("ann", "sesame")], &peer)).await;
        // This one waits for the first and is never computed.
        hang_up(rig.ask(&[&basic("bob", "wrong")], &peer)).await;
        drop(release);
        assert!(holding.await?.is_err(), "nothing was sent");
        // One is computed at a time: after this, the first is done. Of the two attempts, it has one, and gets the other.
        assert_eq!(wrong_passwords(&rig, &network("10.0.0.2")?, 1).await, [(401, "password")]);
        assert_eq!(rig.heard.password_checks(), 2);
        assert!(rig.ask(&[&basic("ann", "sesame")], &peer).await.is_ok());
        assert_eq!(rig.heard.password_checks(), 2, "remembered");
        assert_eq!(wrong_passwords(&rig, &peer, 3).await, [(401, "password"), (401, "password"), (429, "limited")]);
        // A wrong one counts although nobody waits for it.
        let other = network("10.0.0.3")?;
        hang_up(rig.ask(&[&basic("bob", "wrong")], &other)).await;
        assert_eq!(wrong_passwords(&rig, &other, 2).await, [(401, "password"), (429, "limited")]);
        Ok(())
    })
}

#[tokio::test]
async fn a_changed_password_ends_what_was_remembered() -> Outcome {
    let rig = Rig::new(&rig::users(), "")?;
    let peer = network("10.0.0.1")?;
    let ann = rig.ask(&[&basic("ann", "sesame")], &peer).await.map_err(|refusal| refusal.audit)?;
    let bob = rig.ask(&[&basic("bob", "swordfish")], &peer).await.map_err(|refusal| refusal.audit)?;
    // Ann gets a new password, and Bob goes.
    let changed = format!("basic_auth_users: {{ann: '{}'}}\n", bcrypt::hash("tomorrow", 4)?);
    rig.guard.replace(rig.settings(&changed, "")?);
    assert!(!rig.guard.still_valid(&ann.credential) && !rig.guard.still_valid(&bob.credential));
    assert_eq!(status(&rig.ask(&[&basic("ann", "sesame")], &peer).await), (401, "password"));
    assert_eq!(status(&rig.ask(&[&basic("bob", "swordfish")], &peer).await), (401, "password"));
    let ann = rig.ask(&[&basic("ann", "tomorrow")], &peer).await.map_err(|refusal| refusal.audit)?;
    assert!(rig.guard.still_valid(&ann.credential));
    assert!(!rig.guard.still_valid(&CredentialId::Anonymous));
    Ok(())
}

#[tokio::test]
async fn tokens_come_in_until_they_end_or_their_key_goes() -> Outcome {
    let rig = Rig::new("", &rig::jwt(&["old", "new"]))?;
    let peer = network("10.0.0.1")?;
    let bearer = |kid: &str| format!("Bearer {}", token(kid, &["metrics:read"]));
    let identity = rig.ask(&[&bearer("old")], &peer).await.map_err(|refusal| refusal.audit)?;
    assert_eq!(
        (&*identity.name, identity.permissions),
        ("prometheus", Permissions::NONE.with(Permission::MetricsRead))
    );
    // `exp` is 600 s away, and 10 s of leeway count for a connection as they do for a request.
    assert_eq!(identity.expires, Some(after(610)));
    for (seconds, wanted) in [(0, 200), (609, 200), (610, 401), (0, 200)] {
        let answer = rig.ask_at(&[&bearer("old")], &peer, after(seconds)).await;
        assert_eq!(status(&answer).0, wanted, "a verified token ends as well, {seconds} s later");
    }
    let other = rig.ask(&[&bearer("new")], &peer).await.map_err(|refusal| refusal.audit)?;
    assert_ne!(identity.credential, other.credential);
    rig.guard.replace(rig.settings("", &rig::jwt(&["new"]))?);
    assert!(!rig.guard.still_valid(&identity.credential) && rig.guard.still_valid(&other.credential));
    assert_eq!(status(&rig.ask(&[&bearer("old")], &peer).await), (401, "token_key"));
    assert!(rig.ask(&[&bearer("new")], &peer).await.is_ok());
    // Another audience: what came in under the old rules must go.
    rig.guard.replace(rig.settings("", &rig::jwt(&["new"]).replace("'uidmeter'", "'other'"))?);
    assert!(!rig.guard.still_valid(&other.credential));
    assert_eq!(status(&rig.ask(&[&bearer("new")], &peer).await), (401, "token_claims"));
    assert_eq!(rig.heard.password_checks(), 0);
    Ok(())
}

#[tokio::test]
async fn a_permission_that_is_missing_is_403() -> Outcome {
    let rig = Rig::new("", &rig::jwt(&["old"]))?;
    let peer = network("10.0.0.1")?;
    let head = |permissions: &[&str]| rig::head(&[&format!("Bearer {}", token("old", permissions))]);
    for (permissions, needs, wanted) in [
        (&["metrics:read"][..], Permission::MetricsRead, None),
        (&["metrics:read"], Permission::ApiRead, Some(403)),
        (&["metrics:read", "api:read"], Permission::LimitsWrite, Some(403)),
        (&["limits:write"], Permission::LimitsWrite, None),
        (&["limits:write"], Permission::MetricsRead, Some(403)),
        (&[], Permission::MetricsRead, Some(403)),
    ] {
        let answer = rig.guard.admit(&head(permissions)?, &peer, needs, NOW).await;
        assert_eq!(answer.as_ref().err().map(|refusal| refusal.status.as_u16()), wanted, "{permissions:?} {needs:?}");
        if let Err(refusal) = answer {
            assert_eq!(refusal.reason, "permission");
            assert!(refusal.www_authenticate.is_empty());
        }
    }
    assert_eq!(rig.heard.count("permission"), 4);
    Ok(())
}

#[tokio::test]
async fn each_mode_takes_its_own_schemes() -> Outcome {
    let peer = network("10.0.0.1")?;
    let bearer = format!("Bearer {}", token("old", &["metrics:read"]));
    let lower = bearer.replacen("Bearer", "bearer", 1);
    let password = basic("ann", "sesame");
    for (yaml, toml, takes_basic, takes_bearer, challenges) in [
        (rig::users(), String::new(), true, false, &["Basic realm=\"uidmeter\", charset=\"UTF-8\""][..]),
        (String::new(), rig::jwt(&["old"]), false, true, &["Bearer realm=\"uidmeter\""]),
        (
            rig::users(),
            rig::jwt(&["old"]),
            true,
            true,
            &["Bearer realm=\"uidmeter\"", "Basic realm=\"uidmeter\", charset=\"UTF-8\""],
        ),
    ] {
        let rig = Rig::new(&yaml, &toml)?;
        assert_eq!(status(&rig.ask(&[&password], &peer).await), if takes_basic { (200, "") } else { (401, "scheme") });
        for bearer in [&bearer, &lower] {
            assert_eq!(
                status(&rig.ask(&[bearer], &peer).await),
                if takes_bearer { (200, "") } else { (401, "scheme") }
            );
        }
        for headers in
            [&[][..], &["Digest a=b"], &[&bearer, &bearer], &[&password, &bearer], &["Basic"], &["Bearer \u{e9}"]]
        {
            let refusal = rig.ask(headers, &peer).await.err().ok_or("let in")?;
            assert_eq!(refusal.status, StatusCode::UNAUTHORIZED, "{headers:?}");
            assert_eq!(
                refusal.www_authenticate,
                challenges.iter().map(|text| HeaderValue::from_static(text)).collect::<Vec<_>>()
            );
        }
        assert_eq!((rig.heard.count("missing"), rig.heard.count("malformed")), (1, 4));
        // Even on this machine, a credential is a credential.
        assert_eq!(status(&rig.ask(&[], &network("127.0.0.1")?).await), (401, "missing"));
        assert_eq!(status(&rig.ask(&[], &Peer { unix: Some(0), ..Peer::default() }).await), (401, "missing"));
    }
    Ok(())
}

#[tokio::test]
async fn certificates_authenticate_alone_or_besides() -> Outcome {
    let bare = network("10.0.0.1")?;
    let shown = |not_after: SystemTime| Peer { client_certificate: Some(certificate(not_after)), ..bare.clone() };
    let (good, expired) = (shown(after(60)), shown(NOW));
    let password = basic("ann", "sesame");
    let required = "RequireAndVerifyClientCert";
    let optional = "VerifyClientCertIfGiven";
    let sufficient = "[certificates]\nsufficient = true\n";
    // Without and with certificate; then the same with a password.
    for (kind, users, toml, wanted) in [
        (required, "", "", [401, 200, 401, 200]),
        (optional, "", "", [401, 200, 401, 200]),
        (required, &*rig::users(), "", [401, 401, 401, 200]),
        (optional, &*rig::users(), "", [401, 401, 200, 200]),
        (optional, &*rig::users(), sufficient, [401, 200, 200, 200]),
        (required, &*rig::users(), sufficient, [401, 200, 401, 200]),
    ] {
        let rig = Rig::new(&format!("{}{users}", rig::clients(kind)), toml)?;
        let mut found = Vec::new();
        for headers in [&[][..], &[&*password]] {
            for peer in [&bare, &good] {
                found.push(status(&rig.ask(headers, peer).await).0);
            }
        }
        assert_eq!(found, wanted, "{kind} {users} {toml}");
        assert_ne!(status(&rig.ask(&[], &expired).await).0, 200, "{kind}: an expired certificate is none");
        // A certificate does not excuse a wrong password.
        if !users.is_empty() {
            assert_eq!(status(&rig.ask(&[&basic("ann", "wrong")], &good).await).0, 401);
        }
    }
    let rig = Rig::new(
        &rig::clients(required),
        "[certificates]\ndefault_permissions = []\n[certificates.permissions]\n'b.example' = ['metrics:read']\n",
    )?;
    let identity = rig.ask(&[], &good).await.map_err(|refusal| refusal.audit)?;
    assert_eq!((&*identity.name, identity.expires), ("a.example", Some(after(60))));
    assert_eq!(identity.permissions, Permissions::NONE.with(Permission::MetricsRead), "by any of its names");
    assert!(rig.guard.still_valid(&identity.credential));
    // Other names are allowed now: whoever came in under the old rule shakes hands again.
    let narrowed = rig::clients(required).replace('}', ", client_allowed_sans: [c.example]}");
    rig.guard.replace(rig.settings(&narrowed, "")?);
    assert!(!rig.guard.still_valid(&identity.credential));
    // A user of a Unix socket cannot show one, and its file guards it.
    assert!(rig.ask(&[], &Peer { unix: Some(0), ..Peer::default() }).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn what_is_logged_holds_no_secret_and_no_text_of_a_stranger() -> Outcome {
    let rig = Rig::new(&rig::users(), &rig::jwt(&["old"]))?;
    let peer = network("10.0.0.1")?;
    let good = token("old", &["metrics:read"]);
    let (signed, signature) = good.rsplit_once('.').ok_or("no signature")?;
    let hostile = [
        basic("ann", "hunter2"),
        basic("hunter2", "x"),
        basic("a\u{1b}[31m", "hunter2"),
        format!("Bearer {signed}.AAAA{}", &signature[4..]),
        "Bearer hunter2.hunter2.hunter2".to_owned(),
        "Digest hunter2".to_owned(),
        "hunter2".to_owned(),
    ];
    for header in &hostile {
        let refusal = rig.ask(&[header], &peer).await.err().ok_or("let in")?;
        let text = format!("{refusal:?}");
        for secret in ["hunter2", "\\u{1b}", signature, signed, "sesame", "$2"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(refusal.audit.starts_with("refused 10.0.0.1: "), "{}", refusal.audit);
        assert!(refusal.audit.chars().all(|letter| !letter.is_control()));
        assert!(super::super::REASONS.contains(&refusal.reason), "{}", refusal.reason);
    }
    assert_eq!(rig.heard.total(), hostile.len());
    let shown = format!("{:?}", rig.settings(&rig::users(), &rig::jwt(&["old"]))?);
    assert!(!shown.contains("$2") && !shown.contains("SecretOrDer"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn health_is_open_only_if_told_so() -> Outcome {
    let rig = Rig::new("", "")?;
    assert!(!rig.guard.open_health());
    rig.guard.replace(rig.settings("", "open_health = true\n")?);
    assert!(rig.guard.open_health());
    Ok(())
}
