//! The policy file → a [`Policy`], or everything that is wrong with it. Reads text; asks `Directory` for the numbers of
//! names, and the system's files for time zones.

mod reader;
mod rules;

use toml::de::DeTable;

use self::reader::{Group, Reader};
use super::{
    Directory, Policy, PolicyErrors,
    keys::{self, FLOORS, OFFENCES, OVERRIDE, TOP, USERS},
    people::{Choice, People, Selection, UidRange},
    rule::{Floors, Offences, Override, PartFloors},
};
use crate::config::{Problem, quoted};

/// More problems are not told at a time.
const MOST_PROBLEMS: usize = 50;
/// More rules, or overrides, are a mistake.
const MOST_RULES: usize = 64;

pub(super) fn policy(text: &str, where_: &str, directory: &dyn Directory) -> Result<Policy, PolicyErrors> {
    let mut reader = Reader::new(where_, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.syntax(error);
    }
    let policy = Builder { reader: &reader, directory }.policy(root.get_ref());
    match policy {
        Some(policy) if reader.found_none() => Ok(policy),
        _ => {
            let mut problems = reader.problems();
            let more = problems.len().saturating_sub(MOST_PROBLEMS);
            if more > 0 {
                problems.truncate(MOST_PROBLEMS);
                problems.push(Problem::More(more));
            }
            Err(PolicyErrors(problems))
        }
    }
}

/// Makes the parts. Whatever is wrong is told to the reader, and the rest is read all the same.
struct Builder<'a> {
    reader: &'a Reader,
    directory: &'a dyn Directory,
}

impl Builder<'_> {
    /// `None` only if something is wrong.
    fn policy(&self, root: &DeTable<'_>) -> Option<Policy> {
        let top = self.reader.group("", 1, TOP.keys, root);
        let nothing = DeTable::new();
        let part = |name: &str, keys: &keys::Table| {
            let (line, table) = top.table(name).unwrap_or((1, &nothing));
            self.reader.group(name, line, keys.keys, table)
        };
        let users = part("users", &USERS);
        let people = self.people(&users);
        let floors = floors(&part("floors", &FLOORS));
        let offences = offences(&part("offences", &OFFENCES));
        let rules = self.rules(&top, people.as_ref(), floors.as_ref());
        let overrides = self.overrides(&top, people.as_ref(), &rules);
        Some(Policy {
            zone: top.zone("time_zone")?,
            people: people?,
            active_from: users.number("active_from")?,
            grace: users.time("grace")?,
            floors: floors?,
            offences: offences?,
            rules,
            overrides,
        })
    }

    fn people(&self, users: &Group<'_>) -> Option<People> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its kind is of that range")]
        let min_uid = users.number("min_uid")? as u32;
        let people = People { min_uid, system: users.uids("system_uids")?, selection: self.selection(users) };
        self.named_are_people(users, &people);
        Some(people)
    }

    /// Who is named and never can be limited was not meant.
    fn named_are_people(&self, group: &Group<'_>, people: &People) {
        for name in group.texts("users").unwrap_or_default() {
            if let Ok(Some(uid)) = self.directory.user(&name)
                && !people.is_person(uid)
            {
                let found = format!("{} with UID {uid}, which belongs to the system", quoted(&name));
                self.reader.wrong(group.line_of("users"), &group.path("users"), found, "names of people");
            }
        }
    }

    fn selection(&self, group: &Group<'_>) -> Selection {
        let only = self.choice(group, ["uids", "users", "groups"]);
        let exempt = self.choice(group, ["exempt_uids", "exempt_users", "exempt_groups"]);
        for range in &only.uids {
            if exempt.uids.iter().any(|out| out.covers(*range)) {
                let key = if group.has("users") { "users" } else { "uids" };
                let found = format!("chosen and exempt at once for UID {range}");
                self.reader.wrong(group.line_of(key), &group.path(key), found, "without those who are exempt");
            }
        }
        let named = ["uids", "users", "groups"].iter().any(|key| group.has(key));
        Selection { only: named.then_some(only), exempt }
    }

    fn choice(&self, group: &Group<'_>, [uids, users, groups]: [&str; 3]) -> Choice {
        let mut choice = Choice { uids: group.uids(uids).unwrap_or_default(), groups: Vec::new() };
        let users = self.resolved(group, users, "user", |name| self.directory.user(name));
        choice.uids.extend(users.into_iter().map(UidRange::one));
        choice.groups = self.resolved(group, groups, "group", |name| self.directory.group(name));
        choice
    }

    /// The numbers of the names behind `key`.
    fn resolved<T>(
        &self,
        group: &Group<'_>,
        key: &str,
        what: &str,
        number: impl Fn(&str) -> Result<Option<T>, String>,
    ) -> Vec<T> {
        let mut numbers = Vec::new();
        for name in group.texts(key).unwrap_or_default() {
            let found = match number(&name) {
                Ok(Some(number)) => {
                    numbers.push(number);
                    continue;
                }
                Ok(None) => quoted(&name),
                Err(why) => format!("{}, which cannot be looked up ({})", quoted(&name), quoted(&why)),
            };
            let allowed = format!("names of {what}s that this host knows");
            self.reader.wrong(group.line_of(key), &group.path(key), found, allowed);
        }
        numbers
    }

    fn overrides(&self, top: &Group<'_>, people: Option<&People>, rules: &[super::Rule]) -> Vec<Override> {
        let mut overrides: Vec<Override> = Vec::new();
        for (number, (at, table)) in top.tables("override").enumerate() {
            let name = format!("override {}", number + 1);
            let group = self.reader.group(&name, self.reader.line_at(at), OVERRIDE.keys, table);
            let wrong = |key: &str, found: String, allowed: &str| {
                self.reader.wrong(group.line_of(key), &group.path(key), found, allowed);
            };
            if number >= MOST_RULES {
                self.reader.wrong(group.line, &name, "one too many", format!("one of at most {MOST_RULES}"));
                break;
            }
            let chosen = self.choice(&group, ["uids", "users", "groups"]);
            if !["uids", "users", "groups"].iter().any(|key| group.has(key)) {
                wrong("users", "missing".into(), "given, unless uids or groups are");
            }
            let of_rules = group.texts("rules");
            for unknown in of_rules.iter().flatten().filter(|name| rules.iter().all(|rule| rule.name != **name)) {
                wrong("rules", quoted(unknown), "names of rules of this file");
            }
            for range in &chosen.uids {
                if people.is_some_and(|people| people.selection.exempt.uids.iter().any(|out| out.covers(*range))) {
                    wrong(
                        "users",
                        format!("without effect on UID {range}, which is exempt"),
                        "for people who can be limited",
                    );
                }
            }
            let shares_rule = |other: &Override| match (&of_rules, &other.rules) {
                (Some(own), Some(others)) => own.iter().any(|name| others.contains(name)),
                _ => true,
            };
            for other in overrides.iter().filter(|other| shares_rule(other)) {
                let twice = chosen.uids.iter().find(|range| {
                    other.people.uids.iter().any(|earlier| earlier.covers(**range) || range.covers(*earlier))
                });
                if let Some(range) = twice {
                    wrong(
                        "users",
                        format!("the second override for UID {range}"),
                        "the only one for a user and a rule",
                    );
                }
            }
            let floors = PartFloors {
                cpu_weight: group.weight("cpu_weight"),
                cpu_max: group.cores("cpu_max"),
                memory: group.bytes("memory"),
                io_weight: group.weight("io_weight"),
                io_read: group.bytes("io_read"),
                io_write: group.bytes("io_write"),
            };
            if floors == PartFloors::default() && !group.has("allowance") {
                self.reader.wrong(group.line, &name, "without effect", "given an allowance or a floor");
            }
            let allowance = group.number("allowance").unwrap_or(1.0);
            overrides.push(Override { people: chosen, rules: of_rules, allowance, floors });
        }
        overrides
    }
}

fn floors(group: &Group<'_>) -> Option<Floors> {
    Some(Floors {
        cpu_weight: group.weight("cpu_weight")?,
        cpu_max: group.cores("cpu_max")?,
        memory: group.bytes("memory")?,
        memory_margin: group.bytes("memory_margin")?,
        io_weight: group.weight("io_weight")?,
        io_read: group.bytes("io_read")?,
        io_write: group.bytes("io_write")?,
    })
}

fn offences(group: &Group<'_>) -> Option<Offences> {
    Some(Offences { half_life: group.time("half_life")?, longer: group.number("longer")?, most: group.number("most")? })
}
