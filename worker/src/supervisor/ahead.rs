//! Obligations that are written down before anybody wants a container. A commit costs a disk as much for several rows as
//! for one, and a container that is wanted does not wait for it.
//!
//! An obligation says that a container exists or may exist: that it does not yet is nothing that recovery has to know.
//! What is left at the end is taken back; what a dead worker leaves goes as if its containers had never been made.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Shared;
use super::progress::Note;
use crate::gateway::DoorFiles;
use crate::sandbox::Sandbox;
use crate::store::{Obligation, StoreError};

/// What a container is to be made with, written down.
pub(super) struct Obliged {
    /// The container's name.
    pub(super) name: String,
    /// Its user id.
    pub(super) uid: u32,
    /// Its gateway socket, which is not there yet.
    pub(super) files: DoorFiles,
}

/// Those that nobody has taken.
#[derive(Default)]
pub(super) struct Ahead {
    ready: Mutex<VecDeque<Obliged>>,
    /// How many names were given.
    named: AtomicU64,
    /// Held by whoever writes: others wait for what it writes.
    writing: tokio::sync::Mutex<()>,
}

impl Ahead {
    /// The next one, and how many are left.
    fn take(&self) -> Option<(Obliged, usize)> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.pop_front().map(|obliged| (obliged, ready.len()))
    }

    fn add(&self, obliged: impl IntoIterator<Item = Obliged>) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).extend(obliged);
    }

    fn count(&self) -> usize {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<S: Sandbox> Shared<S> {
    /// One that nobody else gets. Where none is there, it is written down with as many as there should be.
    pub(super) async fn obliged(&self) -> Result<Obliged, StoreError> {
        if let Some(obliged) = self.take() {
            return Ok(obliged);
        }
        let _turn = self.ahead.writing.lock().await;
        // Whoever had the turn may have written enough for this one, too.
        if let Some(obliged) = self.take() {
            return Ok(obliged);
        }
        // The first one is for who writes it: nobody is faster.
        let mut written = self.oblige(self.config.ahead.saturating_add(1)).await?.into_iter();
        let own = written.next().ok_or(StoreError::NoUserId);
        self.ahead.add(written);
        own
    }

    /// One that is there.
    fn take(&self) -> Option<Obliged> {
        let (obliged, left) = self.ahead.take()?;
        // Told once: should it come to nothing, whoever finds none writes more.
        if left + 1 == self.enough() {
            self.notes.send(Note::FewObliged);
        }
        Some(obliged)
    }

    /// With fewer than these more are written down.
    fn enough(&self) -> usize {
        self.config.ahead.div_ceil(2)
    }

    /// Writes down as many as there should be, where they are few.
    pub(super) async fn oblige_ahead(&self) -> Result<(), StoreError> {
        let _turn = self.ahead.writing.lock().await;
        let there = self.ahead.count();
        if there < self.enough() {
            self.ahead.add(self.oblige(self.config.ahead - there).await?);
        }
        Ok(())
    }

    /// So many, or as many as there are user ids for.
    async fn oblige(&self, count: usize) -> Result<Vec<Obliged>, StoreError> {
        let gateway = self.gateway();
        let named = (0..count).map(|_| {
            let number = self.ahead.named.fetch_add(1, Ordering::Relaxed);
            (format!("safeurl-{}-{number}", self.worker), gateway.new_door())
        });
        let (names, files): (Vec<_>, Vec<_>) = named.unzip();
        // Dropped half way, or without an answer: the rows may be there all the same.
        let mut written = Written { shared: self, names };
        let obligations = written.names.iter().zip(&files).map(|(name, files)| Obligation {
            name: name.clone(),
            engine_id: self.config.engine.id.clone(),
            worker: self.worker.clone(),
            door: files.mount_dir.display().to_string(),
            attestation: self.attestation.clone(),
        });
        let uids = self.store.oblige_all(obligations.collect()).await?;
        let names = std::mem::take(&mut written.names);
        let obliged = names.into_iter().zip(uids).zip(files);
        Ok(obliged.map(|((name, uid), files)| Obliged { name, uid, files }).collect())
    }

    /// Takes back what nobody has taken. What cannot be taken back now is left to the reaper.
    pub(super) async fn take_back(&self) {
        let _turn = self.ahead.writing.lock().await;
        let names: Vec<_> =
            std::iter::from_fn(|| self.ahead.take()).map(|(obliged, _)| obliged.name).collect();
        if !names.is_empty() && self.store.containers_gone(&names).await.is_err() {
            names.iter().for_each(|name| self.leave(name));
        }
    }
}

/// Names that may be written down, and that nobody knows of should this be dropped.
struct Written<'s, S: Sandbox> {
    shared: &'s Shared<S>,
    names: Vec<String>,
}

impl<S: Sandbox> Drop for Written<'_, S> {
    fn drop(&mut self) {
        self.names.iter().for_each(|name| self.shared.leave(name));
    }
}
