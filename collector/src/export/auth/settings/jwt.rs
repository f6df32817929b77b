//! `[jwt]`: keys and rules for tokens.

use std::time::Duration;

use super::{
    super::{
        super::{
            bounded_file::{Readers, is_open_to_others, read as read_file, shown},
            document::{MOST_BYTES, Section, Value, bounded, nearest},
        },
        jwt::{LONGEST_NAME, Rules},
        keys::{Algorithm, VerifyingKey, from_jwks, from_pem, secret_of_file},
    },
    JwtSettings, Reading, duration,
};

const MOST_LEEWAY: Duration = Duration::from_secs(30);
/// Long enough for a client that reads its token only when it starts, and short enough that a lost one dies.
const LIFETIMES: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(24 * 90);
const DEFAULT_LIFETIME: Duration = Duration::from_hours(24);
/// During rotation there are two or three.
const MOST_KEYS: usize = 64;
/// Claims that mean something else.
const TAKEN: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

pub(super) fn read(root: &mut Section<'_>, reading: &mut Reading) -> Option<JwtSettings> {
    let mut section = root.section("jwt", &mut reading.problems)?;
    let line = section.line;
    let issuers = names(&mut section, "issuers", reading);
    let audiences = names(&mut section, "audiences", reading);
    let leeway = duration(&mut section, "leeway", Duration::ZERO..=MOST_LEEWAY, "0s and 30s", reading);
    let max_lifetime = duration(&mut section, "max_lifetime", LIFETIMES, "1m and 90days", reading);
    let claim = section.text("permissions_claim", &mut reading.problems);
    if let Some((claim, line)) = &claim
        && (claim.is_empty() || claim.len() > LONGEST_NAME || TAKEN.contains(&claim.as_str()))
    {
        let sentence = format!("jwt.permissions_claim {:?} cannot hold permissions", bounded(claim));
        reading.problems.at(*line, sentence);
    }
    let mut keys = Vec::new();
    read_keys(&mut section, &mut keys, reading);
    read_sets(&mut section, &mut keys, reading);
    let has_keys = section.has("keys") || section.has("key_sets");
    section.finish(&mut reading.problems);
    if !has_keys {
        reading.problems.at(line, "jwt needs [[jwt.keys]] or [[jwt.key_sets]]");
    }
    check_names(&keys, line, reading);
    Some(JwtSettings {
        keys,
        rules: Rules {
            issuers,
            audiences,
            leeway: leeway.unwrap_or(Duration::from_secs(10)),
            max_lifetime: max_lifetime.unwrap_or(DEFAULT_LIFETIME),
            permissions_claim: claim.map_or_else(|| "permissions".to_owned(), |(claim, _)| claim),
        },
    })
}

/// At least one name, none of them empty.
fn names(section: &mut Section<'_>, key: &'static str, reading: &mut Reading) -> Vec<String> {
    let line = section.line;
    let names = section.texts(key, &mut reading.problems);
    if names.as_ref().is_none_or(Vec::is_empty) {
        reading
            .problems
            .at(line, format!("{} must list at least one name, since any would do otherwise", section.path(key)));
    }
    let names = names.unwrap_or_default();
    for (name, line) in &names {
        if name.is_empty() || name.len() > LONGEST_NAME {
            reading
                .problems
                .at(*line, format!("{} holds a name that is empty or longer than 256 bytes", section.path(key)));
        }
    }
    names.into_iter().map(|(name, _)| name).collect()
}

/// The tables of the list `key`.
fn tables<'a>(section: &mut Section<'a>, key: &'static str, reading: &mut Reading) -> Vec<Section<'a>> {
    let path = section.path(key);
    let Some(node) = section.get(key) else {
        return Vec::new();
    };
    match &node.value {
        Value::List(nodes) if nodes.len() <= MOST_KEYS => {
            nodes.iter().filter_map(|node| Section::new(node, path.clone(), &mut reading.problems)).collect()
        }
        _ => {
            reading.problems.at(node.line, format!("{path} must be a list of at most {MOST_KEYS} tables: [[{path}]]"));
            Vec::new()
        }
    }
}

fn read_keys(section: &mut Section<'_>, keys: &mut Vec<VerifyingKey>, reading: &mut Reading) {
    for mut table in tables(section, "keys", reading) {
        let line = table.line;
        let kid = table.text("kid", &mut reading.problems);
        let algorithm = table.text("algorithm", &mut reading.problems);
        let file = table.text("file", &mut reading.problems);
        table.finish(&mut reading.problems);
        let algorithm = accepted(algorithm, line, reading);
        let Some((file, file_line)) = file else {
            reading.problems.at(line, "a key needs its file");
            continue;
        };
        let Some(algorithm) = algorithm else {
            continue;
        };
        let kid = kid.map(|(kid, _)| kid);
        let path = reading.folder.join(&file);
        reading.files.push(path.clone());
        let readers = if algorithm.is_symmetric() { Readers::Owner } else { Readers::Anybody };
        let key = read_file("the key", &path, MOST_BYTES, readers).and_then(|contents| {
            let key = if algorithm.is_symmetric() {
                VerifyingKey::from_secret(algorithm, kid, secret_of_file(&contents.bytes))
            } else {
                from_pem(algorithm, kid, &contents.bytes)
            };
            key.map_err(|flaw| format!("the key {} {flaw}", shown(&path)))
        });
        match key {
            Ok(key) => keys.push(key),
            Err(sentence) => reading.problems.at(file_line, sentence),
        }
    }
}

fn accepted(named: Option<(String, u64)>, line: u64, reading: &mut Reading) -> Option<Algorithm> {
    let Some((name, line)) = named else {
        reading.problems.at(line, "a key needs its algorithm, such as algorithm = \"EdDSA\"");
        return None;
    };
    let found = Algorithm::of_name(&name);
    if found.is_none() {
        let known = Algorithm::ALL.map(Algorithm::name);
        let hint = nearest(&name, &known).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        let name = bounded(&name);
        let sentence = format!("the algorithm {name:?} is not accepted; known are {}{hint}", known.join(", "));
        reading.problems.at(line, sentence);
    }
    found
}

fn read_sets(section: &mut Section<'_>, keys: &mut Vec<VerifyingKey>, reading: &mut Reading) {
    for mut table in tables(section, "key_sets", reading) {
        let line = table.line;
        let file = table.text("file", &mut reading.problems);
        table.finish(&mut reading.problems);
        let Some((file, line)) = file else {
            reading.problems.at(line, "a key set needs its file");
            continue;
        };
        let path = reading.folder.join(&file);
        reading.files.push(path.clone());
        let contents = match read_file("the key set", &path, MOST_BYTES, Readers::Anybody) {
            Ok(contents) => contents,
            Err(sentence) => {
                reading.problems.at(line, sentence);
                continue;
            }
        };
        match from_jwks(&contents.bytes) {
            Ok(found) if found.iter().any(|key| key.algorithm().is_symmetric()) && is_open_to_others(contents.mode) => {
                let (shown, mode) = (shown(&path), contents.mode);
                let sentence = format!(
                    "the key set {shown} holds a shared secret and is open to others (mode {mode:04o}); run chmod 0600 {shown}"
                );
                reading.problems.at(line, sentence);
            }
            Ok(found) => keys.extend(found),
            Err(flaws) => {
                for flaw in flaws {
                    reading.problems.at(line, format!("the key set {} {flaw}", shown(&path)));
                }
            }
        }
    }
}

/// Every key must be the only one of its name.
fn check_names(keys: &[VerifyingKey], line: u64, reading: &mut Reading) {
    for (at, key) in keys.iter().enumerate() {
        match key.kid() {
            None if keys.len() > 1 => {
                reading.problems.at(line, "each of several keys needs a kid, by which tokens name it");
            }
            Some(kid) if kid.is_empty() || kid.len() > LONGEST_NAME => {
                reading.problems.at(line, "a kid must have from 1 to 256 bytes");
            }
            Some(kid) if keys[..at].iter().any(|other| other.kid() == Some(kid)) => {
                reading.problems.at(line, format!("the kid {:?} names two keys", bounded(kid)));
            }
            _ => {}
        }
    }
}
