//! `basic_auth_users`.

use super::{
    super::{
        document::{Section, Value, bounded},
        secret::Secret,
    },
    BasicUser, BasicUsers,
    load::Reading,
};

/// Below 4 there is no bcrypt; at 14 one check takes about a second, and whoever guesses passwords would keep a CPU
/// busy with a request a second.
const COST: std::ops::RangeInclusive<u32> = 4..=14;
/// From here on, a hash that has leaked is not cracked in passing.
const LEAST_WISE_COST: u32 = 10;
/// Every one costs a row; whoever needs more wants tokens.
const MOST_USERS: usize = 1000;
const LONGEST_NAME: usize = 256;

/// The users, if there are any.
pub(super) fn read(root: &mut Section<'_>, reading: &mut Reading) -> Option<BasicUsers> {
    let section = root.section("basic_auth_users", &mut reading.problems)?;
    let line = section.line;
    let entries = section.entries();
    if entries.is_empty() {
        return None;
    }
    if entries.len() > MOST_USERS {
        let sentence =
            format!("basic_auth_users has {} users, and may have {MOST_USERS}; give them tokens", entries.len());
        reading.problems.at(line, sentence);
        return None;
    }
    if reading.is_readable_by_all() {
        reading.warn(line, "everybody on this host can read the hashes of the passwords; run chmod 0640 on the file");
    }
    let mut users = Vec::with_capacity(entries.len());
    for entry in entries {
        let name = &entry.key;
        if let Err(flaw) = check_name(name) {
            reading.problems.at(entry.line, format!("the user {:?} {flaw}", bounded(name)));
        }
        // Whatever stands there may be a password: it must not appear in a message.
        let Value::Text(hash) = &entry.node.value else {
            reading.problems.at(entry.line, format!("the user {:?} needs a bcrypt hash in quotes", bounded(name)));
            continue;
        };
        match cost(hash) {
            Ok(cost) if cost < LEAST_WISE_COST => {
                let sentence =
                    format!("the hash of user {:?} has cost {cost}; {LEAST_WISE_COST} is advisable", bounded(name));
                reading.warn(entry.line, sentence);
            }
            Ok(_) => {}
            Err(flaw) => reading.problems.at(entry.line, format!("the user {:?} {flaw}", bounded(name))),
        }
        users.push(BasicUser { name: name.clone(), hash: Secret::new(hash.as_bytes()) });
    }
    Some(BasicUsers(users))
}

/// RFC 7617, section 2: a name has neither a colon nor control characters.
fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("has no name"),
        _ if name.contains(':') => Err("has a colon in the name, which HTTP cannot carry"),
        _ if name.chars().any(char::is_control) => Err("has control characters in the name"),
        _ if name.len() > LONGEST_NAME => Err("has a name of more than 256 bytes"),
        _ => Ok(()),
    }
}

/// The cost of a well-formed hash.
fn cost(hash: &str) -> Result<u32, String> {
    let advice = "make a hash with htpasswd -nBC 10 NAME";
    if hash.is_empty() {
        return Err(format!("has an empty hash; {advice}"));
    }
    // Hashes of this kind come from an implementation that made collisions of passwords with high bits.
    if hash.starts_with("$2x$") {
        return Err(format!("has a hash of the broken kind $2x$; {advice}"));
    }
    let parts: bcrypt::HashParts = hash.parse().map_err(|_| format!("has no bcrypt hash; {advice}"))?;
    let cost = parts.get_cost();
    if !COST.contains(&cost) {
        return Err(format!("has a hash of cost {cost}, which must be between {} and {}", COST.start(), COST.end()));
    }
    Ok(cost)
}
