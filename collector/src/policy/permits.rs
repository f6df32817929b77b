//! What a policy allows to be done to somebody, whoever asks: the process with the right to write checks each request
//! by itself, since what asks it reads strangers' input.

use super::{
    Person, Policy, Refusal, Rule,
    rule::{Amount, Step},
    value::millicores,
};
use crate::{
    config::Mode,
    limits::{Order, Property},
};

impl Policy {
    /// Whether `order` may be carried out on `person`. Giving everything back always may.
    ///
    /// What depends on the moment is not looked at: schedules, how many CPUs there are, how much memory is in use. So a share
    /// is bounded by its floor alone, and who writes `memory.high` holds it against the group's use himself.
    ///
    /// # Errors
    /// What in the policy speaks against it.
    pub fn permits(&self, order: &Order, person: &Person) -> Result<(), Refusal> {
        let uid = order.uid;
        if person.uid != uid {
            return Err(Refusal::SomebodyElse { uid, person: person.uid });
        }
        if order.limits.is_none() {
            return Ok(());
        }
        self.people.eligible(person)?;
        let name = &order.cause.rule;
        let rule = self.rules.iter().find(|rule| rule.name == *name).ok_or_else(|| Refusal::NoRule(name.clone()))?;
        if rule.mode != Mode::Enforce {
            return Err(Refusal::NotEnforced(name.clone()));
        }
        if !rule.who.has(person) {
            return Err(Refusal::NotCovered { rule: name.clone(), uid });
        }
        for (property, found) in order.limits.iter() {
            let refused = |allowed| Refusal::OutOfBounds { property: property.name(), uid, found, allowed };
            // Orders carry what all rules want: each property has to be within what one of them could.
            let least = self.covering(person).filter_map(|rule| self.least(rule, person, property)).min();
            let least = least.ok_or(Refusal::NotSet { property: property.name(), uid })?;
            if found < least {
                return Err(refused(format!("no less than {least}")));
            }
            if matches!(property, Property::CpuWeight | Property::IoWeight) && found > 100 {
                return Err(refused("no more than 100".into()));
            }
        }
        match (order.limits.memory_high, order.limits.memory_max) {
            (high, Some(max)) if high.is_none_or(|high| max < high) => Err(Refusal::OutOfBounds {
                property: Property::MemoryMax.name(),
                uid,
                found: max.0,
                allowed: "it behind memory_high only, and no less than that".into(),
            }),
            _ => Ok(()),
        }
    }

    fn covering<'a>(&'a self, person: &'a Person) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(|rule| rule.mode == Mode::Enforce && rule.who.has(person))
    }

    /// The least that `rule` could set, in the unit of [`crate::limits::Limits::get`]; `None` if it never sets it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "amounts of memory are whole bytes")]
    fn least(&self, rule: &Rule, person: &Person, property: Property) -> Option<u64> {
        let floors = self.floors(person, Some(&rule.name));
        let memory = |of: fn(&Step) -> Option<Amount>| {
            let floor = floors.memory.0;
            tightest(rule, of).map(|bytes| floor.max(bytes as u64))
        };
        match property {
            Property::CpuWeight => {
                Some(rule.steps.iter().filter_map(|step| step.cpu_weight).min()?.max(floors.cpu_weight).get().into())
            }
            Property::IoWeight => {
                Some(rule.steps.iter().filter_map(|step| step.io_weight).min()?.max(floors.io_weight).get().into())
            }
            Property::CpuMax => {
                let cores = millicores(tightest(rule, |step| step.cpu_max)?);
                Some(cores.map_or(floors.cpu_max, |cores| cores.max(floors.cpu_max)).get().into())
            }
            Property::MemoryHigh => memory(|step| step.memory_high),
            Property::MemoryMax => memory(|step| step.memory_max),
            Property::IoRead => Some(rule.steps.iter().filter_map(|step| step.io_read).min()?.max(floors.io_read).0),
            Property::IoWrite => Some(rule.steps.iter().filter_map(|step| step.io_write).min()?.max(floors.io_write).0),
        }
    }
}

/// The least absolute amount of all steps: 0 if one of them is a share, which could be anything, and `None` if no step has
/// one.
fn tightest(rule: &Rule, of: fn(&Step) -> Option<Amount>) -> Option<f64> {
    let amounts = rule.steps.iter().filter_map(of).map(|amount| match amount {
        Amount::Absolute(amount) => amount,
        Amount::Share(_) => 0.0,
    });
    amounts.reduce(f64::min)
}
