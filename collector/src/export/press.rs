//! The thread that writes and compresses long pages, so that the one that serves everybody never stops for it. It starts with the
//! first one: hosts with few users have no long pages.

use std::{
    io,
    sync::{
        OnceLock,
        mpsc::{Sender, channel},
    },
    thread,
};

use tokio::sync::oneshot;

/// Work with its result's way back.
type Job = Box<dyn FnOnce() + Send>;

/// The thread. It ends when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Press(OnceLock<Option<Sender<Job>>>);

impl Press {
    /// Starts it. Without a thread everything still works, only not beside everything else.
    fn start() -> Option<Sender<Job>> {
        let (jobs, inbox) = channel::<Job>();
        let work = move || {
            for job in inbox {
                job();
            }
        };
        let started: io::Result<_> = thread::Builder::new().name("pages".into()).spawn(work);
        if let Err(error) = &started {
            tracing::warn!(%error, "no thread for long pages: while one is written, other requests wait");
        }
        started.is_ok().then_some(jobs)
    }

    /// What `work` yields, made by the thread; by the caller if there is no thread.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Fn() -> T + Clone + Send + 'static) -> T {
        let (answer, result) = oneshot::channel();
        let job = {
            let work = work.clone();
            // Whoever asked may have gone away meanwhile.
            Box::new(move || drop(answer.send(work())))
        };
        match self.0.get_or_init(Self::start) {
            Some(jobs) if jobs.send(job).is_ok() => {}
            _ => return work(),
        }
        match result.await {
            Ok(made) => made,
            Err(_) => work(),
        }
    }
}

#[cfg(test)]
impl Press {
    /// Lets the thread do nothing until what this yields is dropped.
    pub(super) fn hold(&self) -> Sender<()> {
        let (hold, release) = channel::<()>();
        if let Some(jobs) = self.0.get_or_init(Self::start) {
            // Fails only if the thread has ended.
            let _ = jobs.send(Box::new(move || release.recv().unwrap_or(())));
        }
        hold
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::Press;

    #[test]
    fn there_is_no_thread_before_there_is_work() {
        assert!(Press::default().0.get().is_none());
    }

    #[tokio::test]
    async fn work_is_done_by_the_thread() {
        let press = Press::default();
        assert_eq!(press.run(|| thread::current().name().map(str::to_owned)).await.as_deref(), Some("pages"));
    }

    #[tokio::test]
    async fn without_a_thread_the_caller_works() {
        let caller = thread::current().id();
        assert_eq!(Press(None.into()).run(|| thread::current().id()).await, caller);
    }

    #[tokio::test]
    async fn the_thread_goes_on_after_somebody_went_away() {
        let press = Press::default();
        drop(press.run(|| 1));
        assert_eq!(press.run(|| 2).await, 2);
    }
}
