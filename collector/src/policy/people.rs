//! Who can be limited. Decided by numbers alone: names were resolved when the file was read, so that `ann` is one
//! user and no part of `joanna`, and what a process calls itself is never asked.

use std::{fmt, ops::RangeInclusive};

use super::observation::Person;
use crate::units::Uid;

/// UIDs from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UidRange {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl UidRange {
    /// One UID.
    pub const fn one(uid: Uid) -> Self {
        Self { first: uid.0, last: uid.0 }
    }

    /// Whether `uid` lies in it.
    pub fn contains(self, uid: Uid) -> bool {
        RangeInclusive::new(self.first, self.last).contains(&uid.0)
    }

    /// Whether all of `other` lies in it.
    pub(super) fn covers(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

impl fmt::Display for UidRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(out, "{}", self.first)
        } else {
            write!(out, "{}-{}", self.first, self.last)
        }
    }
}

/// A choice of people: by UID, which is how names of users come here, and by group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Ranges of UIDs.
    pub uids: Vec<UidRange>,
    /// Numbers of groups.
    pub groups: Vec<u32>,
}

/// Whether somebody is of a [`Choice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Yes,
    No,
    /// His groups are not known by now, and they matter.
    Unknown,
}

impl Choice {
    /// Whether nobody is chosen.
    pub fn is_empty(&self) -> bool {
        self.uids.is_empty() && self.groups.is_empty()
    }

    fn of(&self, person: &Person) -> Of {
        if self.uids.iter().any(|range| range.contains(person.uid)) {
            return Of::Yes;
        }
        match &person.groups {
            _ if self.groups.is_empty() => Of::No,
            None => Of::Unknown,
            Some(groups) if groups.iter().any(|group| self.groups.contains(group)) => Of::Yes,
            Some(_) => Of::No,
        }
    }

    /// Whether somebody is surely of it.
    pub fn has(&self, person: &Person) -> bool {
        self.of(person) == Of::Yes
    }
}

/// Who is in and who is out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only these; `None` means everybody.
    pub only: Option<Choice>,
    /// And none of these.
    pub exempt: Choice,
}

impl Selection {
    fn refuses(&self, person: &Person) -> Option<Refusal> {
        match self.exempt.of(person) {
            Of::Yes => return Some(Refusal::Exempt(person.uid)),
            Of::Unknown => return Some(Refusal::GroupsUnknown(person.uid)),
            Of::No => {}
        }
        let selected = self.only.as_ref().is_none_or(|only| only.has(person));
        (!selected).then_some(Refusal::NotSelected(person.uid))
    }

    /// Whether somebody is in.
    pub fn has(&self, person: &Person) -> bool {
        self.refuses(person).is_none()
    }
}

/// Who is a person, and which of them can be limited at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct People {
    /// People's UIDs begin here; never 0.
    pub min_uid: u32,
    /// UIDs above it that belong to the system.
    pub system: Vec<UidRange>,
    /// Which people can be limited.
    pub selection: Selection,
}

impl People {
    /// Whether `uid` is a person's: not root, not the system's. There is no upper bound, since directories give out
    /// UIDs up to the greatest that there is. The two that mean "no user" are nobody's (`setresuid(2)`, and
    /// `overflowuid` in `proc_sys_kernel(5)` for those of 16 bits).
    pub fn is_person(&self, uid: Uid) -> bool {
        const NO_USER: [u32; 3] = [0, 65_535, u32::MAX];
        !NO_USER.contains(&uid.0) && uid.0 >= self.min_uid && !self.system.iter().any(|range| range.contains(uid))
    }

    /// Whether any rule may limit `person`.
    pub fn eligible(&self, person: &Person) -> Result<(), Refusal> {
        if !self.is_person(person.uid) {
            return Err(Refusal::NoPerson(person.uid));
        }
        self.selection.refuses(person).map_or(Ok(()), Err)
    }
}

/// Why a limit is against the policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The UID is root's, the system's, or nobody's.
    #[error(
        "UID {0} belongs to the system, which is never limited; see min_uid and system_uids of [users] in the policy"
    )]
    NoPerson(Uid),
    /// Exempted by UID, name or group.
    #[error("UID {0} is exempt from limits by the policy")]
    Exempt(Uid),
    /// Groups could exempt him.
    #[error(
        "the groups of UID {0} are not known, and the policy exempts groups: nobody is limited who might be exempt"
    )]
    GroupsUnknown(Uid),
    /// The policy names those who can be limited.
    #[error("UID {0} is not among those whom the policy allows to be limited")]
    NotSelected(Uid),
    /// Who was checked is not who would be limited.
    #[error("the limit is for UID {uid}, but UID {person} was looked up")]
    SomebodyElse {
        /// Who would be limited.
        uid: Uid,
        /// Who was looked up.
        person: Uid,
    },
    /// The rule is not there.
    #[error("there is no rule {0} in the policy")]
    NoRule(String),
    /// The rule does not act.
    #[error("the rule {0} does not enforce: its mode in the policy is lower")]
    NotEnforced(String),
    /// The rule does not act on this user.
    #[error("the rule {rule} does not cover UID {uid}")]
    NotCovered {
        /// Which.
        rule: String,
        /// Who.
        uid: Uid,
    },
    /// No rule sets this property.
    #[error("no rule of the policy sets {property} for UID {uid}")]
    NotSet {
        /// Which.
        property: &'static str,
        /// Who.
        uid: Uid,
    },
    /// Beyond the bounds.
    #[error("{property} is {found} for UID {uid}, but the policy allows {allowed}")]
    OutOfBounds {
        /// Which.
        property: &'static str,
        /// Who.
        uid: Uid,
        /// In the property's own unit.
        found: u64,
        /// What could be.
        allowed: String,
    },
}

#[cfg(test)]
mod tests {
    use super::{Choice, People, Person, Refusal, Selection, Uid, UidRange};

    fn people(selection: Selection) -> People {
        let system = vec![UidRange { first: 61_184, last: 65_519 }, UidRange::one(Uid(65_534))];
        People { min_uid: 1000, system, selection }
    }

    fn person(uid: u32, groups: &[u32]) -> Person {
        Person { uid: Uid(uid), name: None, groups: Some(groups.into()) }
    }

    #[test]
    fn no_upper_bound_loses_users_of_a_directory() {
        let people = people(Selection::default());
        for uid in [1000, 60_000, 65_536, 4_294_900_000, u32::MAX - 1] {
            assert_eq!(people.eligible(&person(uid, &[])), Ok(()), "{uid}");
        }
    }

    #[test]
    fn root_the_system_and_nobody_are_no_people_whatever_the_file_says() {
        let lowest = People { min_uid: 0, system: Vec::new(), ..people(Selection::default()) };
        for uid in [0, 65_535, u32::MAX] {
            assert_eq!(lowest.eligible(&person(uid, &[])), Err(Refusal::NoPerson(Uid(uid))));
        }
        for uid in [1, 999, 61_184, 65_000, 65_519, 65_534] {
            assert_eq!(people(Selection::default()).eligible(&person(uid, &[])), Err(Refusal::NoPerson(Uid(uid))));
        }
    }

    #[test]
    fn who_might_be_exempt_is_not_limited_until_his_groups_are_known() {
        let exempt = Choice { uids: vec![UidRange::one(Uid(2000))], groups: vec![27] };
        let people = people(Selection { only: None, exempt });
        let unknown = |uid| Person { groups: None, ..person(uid, &[]) };
        assert_eq!(people.eligible(&unknown(3000)), Err(Refusal::GroupsUnknown(Uid(3000))));
        assert_eq!(people.eligible(&unknown(2000)), Err(Refusal::Exempt(Uid(2000))));
        assert_eq!(people.eligible(&person(3000, &[5, 27])), Err(Refusal::Exempt(Uid(3000))));
        assert_eq!(people.eligible(&person(3000, &[5])), Ok(()));
    }

    #[test]
    fn those_who_are_named_are_the_only_ones_and_exemption_wins() {
        let only = Choice { uids: vec![UidRange { first: 2000, last: 2002 }], groups: vec![5] };
        let exempt = Choice { uids: vec![UidRange::one(Uid(2001))], groups: Vec::new() };
        let people = people(Selection { only: Some(only), exempt });
        assert_eq!(people.eligible(&person(2000, &[])), Ok(()));
        assert_eq!(people.eligible(&person(2001, &[5])), Err(Refusal::Exempt(Uid(2001))));
        assert_eq!(people.eligible(&person(3000, &[5])), Ok(()));
        assert_eq!(people.eligible(&person(3000, &[])), Err(Refusal::NotSelected(Uid(3000))));
        assert_eq!(
            people.eligible(&Person { groups: None, ..person(3000, &[]) }),
            Err(Refusal::NotSelected(Uid(3000)))
        );
    }
}
