//! A page that is held back until the test says so: what happens before and after is an order, not a race.

use std::sync::{Arc, Condvar, Mutex};

/// Closed until somebody opens it; clones are the same gate.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Comes back once the gate is open.
    pub(crate) fn wait(&self) {
        let (open, changed) = &*self.0;
        let open = open.lock().expect("no panic");
        drop(changed.wait_while(open, |open| !*open).expect("no panic"));
    }

    /// Lets through whoever waits and whoever comes.
    pub(crate) fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().expect("no panic") = true;
        changed.notify_all();
    }
}
