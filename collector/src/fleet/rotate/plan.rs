//! What is there → what is to be done, in an order that leaves nobody behind. Pure.
//!
//! A token is used only once every host accepts it, and a key is withdrawn only once nobody is left who has been told to use
//! it. So whoever stops after any step, for whatever reason, has a token that works, and goes on by asking for a plan again.

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The key that signed the token in use.
    pub(super) token: String,
    /// The key of the token that was in use before, if that has not been withdrawn.
    pub(super) previous: Option<String>,
    /// The key that is to sign.
    pub(super) wanted: String,
    /// Whether that key is there.
    pub(super) has_key: bool,
    /// The keys in the authentication file of the hosts; `None` if it is elsewhere.
    pub(super) listed: Option<Vec<String>>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Whether a key may be made.
    pub(super) make_key: bool,
    /// Whether the old key is to go.
    pub(super) retire: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the pair of keys.
    MakeKey,
    /// Add the public half to the authentication file.
    ListKey,
    /// Sign a token, and wait until every host accepts it.
    Try,
    /// Keep the token in use as the previous one.
    Keep,
    /// Put the new token in place of the one in use.
    Switch,
    /// Ask every host with the token that is now in place; else take the switch back.
    Confirm,
    /// Remove the key of this name from the authentication file.
    UnlistKey(String),
    /// Wait until every host refuses the previous token, and still accepts the one in use; else take the removal back.
    Retired(String),
    /// Remove the previous token.
    Forget,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Obstacle {
    /// No key, and none may be made.
    #[error("the key is not there; add --new-key to make it")]
    NoKey,
    /// Nothing was kept.
    #[error("there is no previous token, so no key waits to be retired; rotate to another key first")]
    NothingToRetire,
    /// A third key comes before the first has gone.
    #[error("the key before the last one has not been retired yet; finish that with --retire, then go on")]
    Unfinished,
}

/// The steps that are left.
///
/// # Errors
/// Something must be decided first.
pub(super) fn plan(facts: &Facts, wish: Wish) -> Result<Vec<Step>, Obstacle> {
    let changes_key = facts.token != facts.wanted;
    let waiting = facts.previous.as_ref().filter(|kid| **kid != facts.wanted);
    if changes_key && waiting.is_some_and(|kid| *kid != facts.token) {
        return Err(Obstacle::Unfinished);
    }
    let old = if changes_key { Some(&facts.token) } else { waiting };
    if wish.retire && old.is_none() {
        return Err(Obstacle::NothingToRetire);
    }
    let mut steps = Vec::new();
    // What has been switched already needs no other token to finish.
    if changes_key || !wish.retire {
        if !facts.has_key {
            if !wish.make_key {
                return Err(Obstacle::NoKey);
            }
            steps.push(Step::MakeKey);
        }
        if facts.listed.as_ref().is_some_and(|listed| !listed.contains(&facts.wanted)) {
            steps.push(Step::ListKey);
        }
        steps.push(Step::Try);
        if changes_key {
            steps.push(Step::Keep);
        }
        steps.push(Step::Switch);
    }
    steps.push(Step::Confirm);
    if let Some(old) = old.filter(|_| wish.retire) {
        if facts.listed.as_ref().is_some_and(|listed| listed.contains(old)) {
            steps.push(Step::UnlistKey(old.clone()));
        }
        steps.extend([Step::Retired(old.clone()), Step::Forget]);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::{Facts, Obstacle, Step, Wish, plan};

    fn facts(token: &str, wanted: &str) -> Facts {
        Facts {
            token: token.into(),
            previous: None,
            wanted: wanted.into(),
            has_key: true,
            listed: Some(vec!["old".into()]),
        }
    }

    /// The world after `step` was done.
    fn done(facts: &mut Facts, step: &Step) {
        match step {
            Step::MakeKey => facts.has_key = true,
            Step::ListKey => facts.listed.iter_mut().for_each(|listed| listed.push(facts.wanted.clone())),
            Step::Keep => facts.previous = Some(facts.token.clone()),
            Step::Switch => facts.token = facts.wanted.clone(),
            Step::UnlistKey(kid) => facts.listed.iter_mut().for_each(|listed| listed.retain(|one| one != kid)),
            Step::Forget => facts.previous = None,
            Step::Try | Step::Confirm | Step::Retired(_) => {}
        }
    }

    #[test]
    fn a_token_of_the_same_key_is_tried_before_it_is_used() {
        let steps = plan(&facts("old", "old"), Wish { make_key: false, retire: false });
        assert_eq!(steps, Ok(vec![Step::Try, Step::Switch, Step::Confirm]));
    }

    #[test]
    fn what_must_be_decided_first_is_said() {
        let wish = Wish { make_key: false, retire: true };
        assert_eq!(plan(&facts("old", "old"), wish), Err(Obstacle::NothingToRetire));
        assert_eq!(plan(&Facts { has_key: false, ..facts("old", "new") }, wish), Err(Obstacle::NoKey));
        let third = Facts { previous: Some("older".into()), ..facts("old", "new") };
        assert_eq!(plan(&third, wish), Err(Obstacle::Unfinished));
        // A key that is not retired yet does not keep tokens from being renewed.
        let renewed = Facts { previous: Some("old".into()), ..facts("new", "new") };
        assert!(plan(&renewed, Wish { make_key: false, retire: false }).is_ok_and(|steps| steps.contains(&Step::Try)));
    }

    proptest! {
        /// Whoever is interrupted after any number of steps, any number of times, has a token that hosts accept, and comes to
        /// the end by asking again.
        #[test]
        fn every_interruption_leaves_a_token_that_works(
            stops in prop::collection::vec((0_usize..9, any::<bool>()), 0..8),
            has_key in any::<bool>(),
        ) {
            let mut world = Facts { has_key, ..facts("old", "new") };
            let last = [(usize::MAX, false), (usize::MAX, true)];
            for (most, retire) in stops.into_iter().chain(last) {
                let steps = match plan(&world, Wish { make_key: true, retire }) {
                    Ok(steps) => steps,
                    Err(obstacle) => {
                        // All has been done before.
                        prop_assert_eq!(obstacle, Obstacle::NothingToRetire);
                        prop_assert_eq!(&world.listed, &Some(vec!["new".to_owned()]));
                        continue;
                    }
                };
                let mut tried = None;
                for step in steps.iter().take(most) {
                    match step {
                        Step::Try => tried = Some(world.wanted.clone()),
                        Step::Switch => prop_assert_eq!(tried.as_ref(), Some(&world.wanted)),
                        _ => {}
                    }
                    done(&mut world, step);
                    let listed = world.listed.clone().unwrap_or_default();
                    prop_assert!(listed.contains(&world.token), "{step:?}: {world:?}");
                    // Who switches knows which key is to go.
                    prop_assert!(world.token == "old" || listed == ["new"] || world.previous.is_some(), "{world:?}");
                }
            }
            let end = Facts { previous: None, listed: Some(vec!["new".into()]), has_key: true, ..facts("new", "new") };
            prop_assert_eq!(world, end);
        }
    }
}
