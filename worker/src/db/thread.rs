//! Threads that own connections. Each takes the next unit of work, runs it to its end and answers; they end
//! when the last handle is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{DbError, Unit};

/// What a thread does on its connection, with the way of the answer.
pub(super) type Work = Box<dyn FnOnce(&Unit) + Send>;

/// A handle to some threads that share one queue of work.
#[derive(Clone)]
pub(super) struct ConnectionThreads {
    queue: mpsc::Sender<Work>,
}

impl ConnectionThreads {
    /// Starts one thread per connection.
    pub(super) fn start(name: &str, units: Vec<Unit>) -> Result<Self, DbError> {
        let (queue, work) = mpsc::channel::<Work>();
        let work = Arc::new(Mutex::new(work));
        for unit in units {
            let work = Arc::clone(&work);
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(&unit, &work))
                .map_err(|_| DbError::Ended)?;
        }
        Ok(Self { queue })
    }

    /// Runs the work on one of the threads. Dropping the returned future does not stop work already queued.
    pub(super) async fn run<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
    {
        let (work, answered) = packed(work);
        self.queue.send(work).map_err(|_| DbError::Ended)?;
        answered.await.map_err(|_| DbError::Ended)?
    }
}

fn serve(unit: &Unit, queue: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        do_it(unit, work);
    }
}

/// Does what waits on the caller's runtime, which may be shut down: that panics, and the thread has other callers.
pub(super) fn do_it(unit: &Unit, work: impl FnOnce(&Unit)) {
    let _ = catch_unwind(AssertUnwindSafe(|| work(unit)));
}

/// Work that a thread can take, and what its answer comes by.
pub(super) fn packed<T, E, W>(work: W) -> (Work, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: Send + 'static,
    W: AsyncFnOnce(&Unit) -> Result<T, E> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let runtime = Handle::current();
    (Box::new(move |unit| carry_out(unit, &runtime, work, answer)), answered)
}

/// Runs the work to its end and answers.
pub(super) fn carry_out<T, E>(
    unit: &Unit,
    runtime: &Handle,
    work: impl AsyncFnOnce(&Unit) -> Result<T, E>,
    answer: oneshot::Sender<Result<T, E>>,
) {
    // A panic fails the unit that caused it: its caller sees the answer's channel closed.
    let done = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work(unit))));
    // However it ended, the connection is usable for the next.
    runtime.block_on(unit.abandon());
    if let Ok(done) = done {
        // A caller that no longer waits does not hear the answer; the work is done all the same.
        let _ = answer.send(done);
    }
}
