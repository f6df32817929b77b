//! Turns at something of which only one can happen at a time. Whoever comes last gets the next turn.
//!
//! In a queue that is served in order, a flood makes everybody wait who comes after it. Here it makes itself wait: a client
//! that means well comes after some of the flood and before the rest, and does not wait for what was there before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Gives out turns.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    taken: bool,
    waiting: Vec<oneshot::Sender<Turn>>,
}

/// A turn; the next one has it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// Waits for a turn.
    pub(super) async fn take(self: &Arc<Self>) -> Turn {
        let turn = {
            let mut state = self.state();
            if !state.taken {
                state.taken = true;
                return Turn(Some(Arc::clone(self)));
            }
            let (give, turn) = oneshot::channel();
            state.waiting.push(give);
            turn
        };
        // Senders are dropped unused only with the whole, which we hold.
        turn.await.unwrap_or(Turn(None))
    }

    fn pass_on(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                let next = state.waiting.pop();
                state.taken = next.is_some();
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(Arc::clone(&self)))) {
                Ok(()) => return,
                // Gone meanwhile; its turn must not be passed on twice.
                Err(mut unwanted) => unwanted.0 = None,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete in itself, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::task::{JoinHandle, yield_now};

    use super::Turns;

    type Order = Arc<Mutex<Vec<u32>>>;

    fn enter(turns: &Arc<Turns>, order: &Order, who: u32) -> JoinHandle<()> {
        let (turns, order) = (Arc::clone(turns), Arc::clone(order));
        tokio::spawn(async move {
            let _turn = turns.take().await;
            if let Ok(mut order) = order.lock() {
                order.push(who);
            }
        })
    }

    #[tokio::test]
    async fn the_last_comes_first_and_who_has_gone_is_passed_over() {
        let (turns, order) = (Arc::new(Turns::default()), Order::default());
        let first = turns.take().await;
        let mut waiting = Vec::new();
        for who in 0..5 {
            waiting.push(enter(&turns, &order, who));
            yield_now().await;
        }
        waiting[4].abort();
        waiting[2].abort();
        yield_now().await;
        drop(first);
        for one in waiting {
            // Two were aborted.
            let _ = one.await;
        }
        assert_eq!(order.lock().map(|order| order.clone()).unwrap_or_default(), [3, 1, 0]);
        // The turn is free again.
        drop(turns.take().await);
    }

    #[tokio::test]
    async fn a_turn_that_was_given_to_somebody_who_never_looked_is_not_lost() {
        let (turns, order) = (Arc::new(Turns::default()), Order::default());
        let first = turns.take().await;
        let gone = enter(&turns, &order, 0);
        yield_now().await;
        drop(first);
        // It has its turn now, and has not run since.
        gone.abort();
        let _ = gone.await;
        drop(turns.take().await);
    }
}
