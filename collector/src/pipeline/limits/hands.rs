//! Carries out what the policy has decided, through the enforcer, and remembers what came of it.
//!
//! An order that failed is tried again after a while; one that the enforcer refuses is not, until something else is wanted; one that
//! somebody else has undone is left alone, until nothing is wanted any more.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    enforce::{
        Outcome,
        client::{Client, ClientError},
        start::SYSTEMD,
    },
    limits::{Limits, Order},
    units::Uid,
};

/// Time until a failed order is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What became of what is wanted for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    order: Order,
    /// What the kernel enforces.
    pub(super) in_force: Limits,
    /// Where.
    pub(super) group: Option<PathBuf>,
    /// Why it is not what was ordered.
    pub(super) trouble: Option<String>,
    /// When a failed order is tried again.
    again: Option<Instant>,
}

/// The daemon's way to the enforcer.
#[derive(Debug)]
pub(super) struct Hands {
    client: Client,
    held: BTreeMap<Uid, Held>,
    renewed: Option<Instant>,
    lease: Duration,
}

impl Hands {
    pub(super) fn new(client: Client, lease: Duration) -> Self {
        Self { client, held: BTreeMap::new(), renewed: None, lease }
    }

    /// How users are limited.
    pub(super) fn driver(&self) -> &str {
        &self.client.hello().driver
    }

    /// Whether users are limited in their own slices of systemd.
    pub(super) fn limits_slices(&self) -> bool {
        self.client.hello().driver == SYSTEMD
    }

    /// Why nobody can be.
    pub(super) fn unable(&self) -> Option<&str> {
        self.client.hello().monitor_only.as_deref()
    }

    /// What became of what is wanted for `uid`.
    pub(super) fn held(&self, uid: Uid) -> Option<&Held> {
        self.held.get(&uid)
    }

    /// Makes it so; tells the outcome in a word, as figures have it.
    ///
    /// # Errors
    /// There is no enforcer any more, or it does not answer.
    pub(super) fn carry_out(&mut self, order: &Order, now: Instant) -> Result<&'static str, ClientError> {
        if order.limits.is_none() {
            let outcome = self.client.clear(order.uid)?;
            if let Outcome::Failed { why } = &outcome {
                tracing::error!(uid = %order.uid, "cannot give back limits: {why}");
            }
            // What could not be given back is the enforcer's to try again.
            self.held.remove(&order.uid);
            return Ok(word(&outcome));
        }
        self.set(order.clone(), now)
    }

    fn set(&mut self, order: Order, now: Instant) -> Result<&'static str, ClientError> {
        match self.client.set(&order) {
            Ok(outcome) => Ok(self.note(order, outcome, now)),
            Err(error) => {
                // It may be done yet; asking again tells.
                self.note(order, Outcome::Failed { why: error.to_string() }, now);
                Err(error)
            }
        }
    }

    /// Renews all leases, and tries again what has failed.
    ///
    /// # Errors
    /// There is no enforcer any more, or it does not answer.
    pub(super) fn keep(&mut self, now: Instant) -> Result<(), ClientError> {
        // Often enough that one that comes late does no harm.
        if self.renewed.is_none_or(|renewed| now.duration_since(renewed) >= self.lease / 4) {
            self.renewed = Some(now);
            for (uid, outcome) in self.client.renew(None)?.users {
                if let Some(held) = self.held.get(&uid) {
                    let order = held.order.clone();
                    self.note(order, outcome, now);
                }
            }
        }
        let due: Vec<Order> = self
            .held
            .values()
            .filter(|held| held.again.is_some_and(|again| now >= again))
            .map(|held| held.order.clone())
            .collect();
        for order in due {
            self.set(order, now)?;
        }
        Ok(())
    }

    /// Gives everything back; tells whether that was done in time.
    pub(super) fn close(self, patience: Duration) -> bool {
        self.client.close(patience)
    }

    fn note(&mut self, order: Order, outcome: Outcome, now: Instant) -> &'static str {
        let word = word(&outcome);
        let uid = order.uid;
        let before = self.held.remove(&uid).and_then(|held| held.trouble);
        let (in_force, group, trouble) = match outcome {
            Outcome::Applied { group, in_force, .. } => (in_force, Some(group), None),
            Outcome::Cleared { .. } => (Limits::default(), None, None),
            Outcome::Refused { why } | Outcome::Failed { why } | Outcome::Abandoned { why } => {
                (Limits::default(), None, Some(why))
            }
        };
        if let Some(why) = trouble.as_ref().filter(|why| before.as_ref() != Some(why)) {
            tracing::warn!(%uid, outcome = word, "not limited: {why}");
        }
        let again = (word == "failed").then(|| now + AGAIN);
        self.held.insert(uid, Held { order, in_force, group, trouble, again });
        word
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied { .. } | Outcome::Cleared { .. } => "applied",
        Outcome::Refused { .. } => "refused",
        Outcome::Failed { .. } => "failed",
        Outcome::Abandoned { .. } => "abandoned",
    }
}
