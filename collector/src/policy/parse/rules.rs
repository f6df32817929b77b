//! `[[rule]]`: conditions, steps, and what contradicts itself in them.

use toml::de::DeTable;

use super::{
    super::{
        keys::{self, METRICS, MetricKey, RULE, STEP},
        people::People,
        rule::{Amount, Condition, Floors, Rule, Step, Subject},
        schedule::Schedule,
        value::Kind,
    },
    Builder, Group, MOST_RULES,
};
use crate::config::{quoted, size};
use crate::units::Bytes;

/// More steps are a mistake.
const MOST_STEPS: usize = 16;

impl Builder<'_> {
    pub(super) fn rules(&self, top: &Group<'_>, people: Option<&People>, floors: Option<&Floors>) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for (number, (at, table)) in top.tables("rule").enumerate() {
            let line = self.reader.line_at(at);
            if number >= MOST_RULES {
                self.reader.wrong(line, "rule", "one too many", format!("one of at most {MOST_RULES}"));
                break;
            }
            let rule = self.rule(number, line, table, people, floors);
            if rules.iter().any(|other| other.name == rule.name) {
                self.reader.wrong(line, "rule.name", quoted(&rule.name), "a name that no other rule has");
            }
            rules.push(rule);
        }
        if rules.is_empty() && !top.has("rule") {
            self.reader.wrong(1, "rule", "missing", "given at least once: without a rule nobody is ever limited");
        }
        rules
    }

    /// Rules are made even if something is wrong, so that the others can be checked against them.
    fn rule(
        &self,
        number: usize,
        line: usize,
        table: &DeTable<'_>,
        people: Option<&People>,
        floors: Option<&Floors>,
    ) -> Rule {
        let title = table.get("name").and_then(|name| name.get_ref().as_str());
        let title = title.map_or_else(|| format!("rule {}", number + 1), |name| format!("rule {}", quoted(name)));
        let group = self.reader.group(&title, line, RULE.keys, table);
        for needed in ["name", "when", "step"] {
            if !group.has(needed) {
                let allowed = keys::RULE.keys.iter().find(|key| key.name == needed).map(|key| key.kind.allowed());
                self.reader.wrong(line, &group.path(needed), "missing", allowed.unwrap_or_default());
            }
        }
        let who = self.selection(&group);
        if let Some(people) = people {
            self.named_are_people(&group, people);
            for range in who.only.iter().flat_map(|only| &only.uids) {
                if people.selection.exempt.uids.iter().any(|out| out.covers(*range)) {
                    let key = if group.has("users") { "users" } else { "uids" };
                    let found = format!("given with UID {range}, which [users] exempts");
                    self.reader.wrong(group.line_of(key), &group.path(key), found, "people who can be limited");
                }
            }
        }
        Rule {
            mode: group.mode("mode").unwrap_or_default(),
            when: self.conditions(&group),
            who,
            schedule: self.schedule(&group),
            steps: self.steps(&group, floors),
            min_limited: group.time("min_limited").unwrap_or_default(),
            step_after: group.time("step_after").unwrap_or_default(),
            relax_after: group.time("relax_after").unwrap_or_default(),
            name: group.text("name").unwrap_or(title),
        }
    }

    fn schedule(&self, group: &Group<'_>) -> Schedule {
        match (group.spans("off_during"), group.spans("only_during")) {
            (Some(_), Some(_)) => {
                let allowed = "left out where only_during is given";
                let key = "off_during";
                self.reader.wrong(group.line_of(key), &group.path(key), "given", allowed);
                Schedule::Always
            }
            (Some(off), None) => Schedule::Except(off),
            (None, Some(only)) => Schedule::Only(only),
            (None, None) => Schedule::Always,
        }
    }

    fn conditions(&self, rule: &Group<'_>) -> Vec<Condition> {
        let Some((line, table)) = rule.table("when") else { return Vec::new() };
        let metrics: Vec<_> = METRICS
            .iter()
            .map(|metric| keys::Key { name: metric.name, kind: Kind::Table, default: "", help: metric.help })
            .collect();
        let name = rule.path("when");
        let when = self.reader.group(&name, line, &metrics, table);
        let given: Vec<_> = METRICS.iter().filter(|metric| when.has(metric.name)).collect();
        if given.iter().all(|metric| metric.metric.subject() != Subject::User) {
            let own = METRICS.iter().filter(|metric| metric.metric.subject() == Subject::User);
            let own: Vec<_> = own.map(|metric| metric.name).collect();
            let found =
                if given.is_empty() { "without conditions" } else { "without a condition on the user's own figures" };
            let allowed = format!("given one of {}: without, everybody would be limited", own.join(", "));
            self.reader.wrong(line, &name, found, allowed);
        }
        given.into_iter().filter_map(|metric| self.condition(&when, metric)).collect()
    }

    fn condition(&self, when: &Group<'_>, metric: &MetricKey) -> Option<Condition> {
        let (line, table) = when.table(metric.name)?;
        let keys = keys::condition(metric);
        let [threshold, hold, release, release_hold] = keys.map(|key| key.name);
        let group = self.reader.group(&when.path(metric.name), line, &keys, table);
        if !group.has(threshold) {
            self.reader.wrong(line, &group.path(threshold), "missing", metric.kind.allowed());
        }
        let low = metric.metric.feared_low();
        let at = group.amount(threshold)?;
        let back = group.amount(release).unwrap_or_else(|| at.scaled(if low { 1.25 } else { 0.8 }));
        let fine = match (at, back) {
            (Amount::Absolute(at), Amount::Absolute(back)) | (Amount::Share(at), Amount::Share(back)) => {
                if low {
                    back > at
                } else {
                    back < at
                }
            }
            _ => false,
        };
        // Of nothing is there more than all: it could never be released.
        let reachable = !matches!(back, Amount::Share(share) if share > 1.0);
        if !reachable {
            let found = format!("{} by default, which is more than all", group.shown(threshold));
            self.reader.wrong(group.line_of(threshold), &group.path(release), found, "given, up to \"100%\"");
        } else if !fine {
            let side = if low { "more" } else { "less" };
            let allowed = format!("{side} than {threshold} ({}), and in the same unit", group.shown(threshold));
            self.reader.wrong(group.line_of(release), &group.path(release), group.shown(release), allowed);
        }
        Some(Condition {
            metric: metric.metric,
            threshold: at,
            hold: group.time(hold)?,
            release: back,
            release_hold: group.time(release_hold)?,
        })
    }

    fn steps(&self, rule: &Group<'_>, floors: Option<&Floors>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for (number, (at, table)) in rule.tables("step").enumerate() {
            let line = self.reader.line_at(at);
            let name = format!("{}, step {}", rule.name, number + 1);
            if number >= MOST_STEPS {
                self.reader.wrong(line, &name, "one too many", format!("one of at most {MOST_STEPS}"));
                break;
            }
            let group = self.reader.group(&name, line, STEP.keys, table);
            let step = Step {
                cpu_weight: group.weight("cpu_weight"),
                cpu_max: group.amount("cpu_max"),
                memory_high: group.amount("memory_high"),
                memory_max: group.amount("memory_max"),
                io_weight: group.weight("io_weight"),
                io_read: group.bytes("io_read"),
                io_write: group.bytes("io_write"),
            };
            if !STEP.keys.iter().any(|key| group.has(key.name)) {
                self.reader.wrong(line, &name, "empty", "given something to limit");
            }
            if let Some(floors) = floors {
                self.above_floors(&group, &step, floors);
            }
            let before = steps.last().copied().unwrap_or_default();
            self.no_looser(&group, &step, &before);
            // What a step does not say stays as it was.
            let step = step.after(&before);
            self.safety_net(&group, &step);
            steps.push(step);
        }
        if steps.is_empty() && rule.has("step") {
            self.reader.wrong(rule.line_of("step"), &rule.path("step"), "empty", "given at least once");
        }
        steps
    }

    /// `memory.max` kills: it stands behind `memory.high`, which slows down first.
    fn safety_net(&self, group: &Group<'_>, step: &Step) {
        let wrong = |found: String, allowed: String| {
            self.reader.wrong(group.line_of("memory_max"), &group.path("memory_max"), found, allowed);
        };
        match (step.memory_high, step.memory_max) {
            (None, Some(_)) => {
                wrong("without memory_high".into(), "with it: memory_max kills, and is a safety net only".into());
            }
            (Some(Amount::Absolute(high)), Some(Amount::Absolute(max)))
            | (Some(Amount::Share(high)), Some(Amount::Share(max)))
                if max < high =>
            {
                wrong(group.shown("memory_max"), "no less than memory_high".into());
            }
            _ => {}
        }
    }

    fn above_floors(&self, group: &Group<'_>, step: &Step, floors: &Floors) {
        let check = |key: &str, below: bool, floor: String| {
            if below {
                let allowed = format!("no less than its floor, {floor}");
                self.reader.wrong(group.line_of(key), &group.path(key), group.shown(key), allowed);
            }
        };
        for (key, weight, floor) in
            [("cpu_weight", step.cpu_weight, floors.cpu_weight), ("io_weight", step.io_weight, floors.io_weight)]
        {
            check(key, weight.is_some_and(|weight| weight < floor), floor.get().to_string());
        }
        for (key, rate, floor) in
            [("io_read", step.io_read, floors.io_read), ("io_write", step.io_write, floors.io_write)]
        {
            check(key, rate.is_some_and(|rate| rate < floor), format!("\"{}/s\"", size(floor)));
        }
        let cores = f64::from(floors.cpu_max.get()) / 1000.0;
        check("cpu_max", matches!(step.cpu_max, Some(Amount::Absolute(max)) if max < cores), cores.to_string());
        #[expect(clippy::cast_precision_loss, reason = "compared with what was rounded in the same way")]
        let below = |amount, Bytes(floor): Bytes| matches!(amount, Some(Amount::Absolute(a)) if a < floor as f64);
        for (key, amount) in [("memory_high", step.memory_high), ("memory_max", step.memory_max)] {
            check(key, below(amount, floors.memory), format!("{:?}", size(floors.memory)));
        }
    }

    fn no_looser(&self, group: &Group<'_>, step: &Step, before: &Step) {
        let check = |key: &str, looser: bool| {
            if looser {
                let allowed = "no more than in the step before";
                self.reader.wrong(group.line_of(key), &group.path(key), group.shown(key), allowed);
            }
        };
        let above = |now, before| match (now, before) {
            (Some(Amount::Absolute(now)), Some(Amount::Absolute(before)))
            | (Some(Amount::Share(now)), Some(Amount::Share(before))) => now > before,
            _ => false,
        };
        check("cpu_weight", step.cpu_weight.zip(before.cpu_weight).is_some_and(|(now, before)| now > before));
        check("cpu_max", above(step.cpu_max, before.cpu_max));
        check("memory_high", above(step.memory_high, before.memory_high));
        check("memory_max", above(step.memory_max, before.memory_max));
        check("io_weight", step.io_weight.zip(before.io_weight).is_some_and(|(now, before)| now > before));
        check("io_read", step.io_read.zip(before.io_read).is_some_and(|(now, before)| now > before));
        check("io_write", step.io_write.zip(before.io_write).is_some_and(|(now, before)| now > before));
    }
}
