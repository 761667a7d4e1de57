//! The task that waits for markers.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use super::{BLOCK, HAND, News, Room};
use crate::queue::bullmq::consumer::Consumer;
use crate::queue::bullmq::link::{Backoff, RedisError, Role, Wire};

/// How much longer than it was told Redis may take to say that nothing came. Then the connection is given up: a network
/// that forgot it would say nothing for ever.
const WATCHDOG: Duration = Duration::from_secs(1);

/// How many markers in a row may lead to nothing before the task slows down: another worker was faster, a few times.
const FRUITLESS: u32 = 4;

/// The longest pause between markers that lead to nothing.
const SLOWEST: Duration = Duration::from_secs(1);

/// How long the last call may take when the task ends.
const LAST: Duration = Duration::from_secs(1);

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Marker,
    Nothing,
    /// Without an answer; a marker may be gone with it.
    Lost,
}

/// The owner of the waiting connection.
pub(super) struct Ear {
    consumer: Arc<Consumer>,
    room: Arc<Room>,
    wire: Option<Wire>,
    trouble: Backoff,
    /// The trouble has been told.
    told: bool,
    /// A wait was sent and not answered.
    waits: bool,
    /// A marker was popped, or may have been, and is to be put back.
    owes: bool,
    /// When it is put back although somebody waits.
    put_back_at: Option<Instant>,
    fruitless: u32,
}

impl Ear {
    pub(super) fn new(consumer: Arc<Consumer>, room: Arc<Room>) -> Self {
        Self {
            consumer,
            room,
            wire: None,
            trouble: Backoff::default(),
            told: false,
            waits: false,
            owes: false,
            put_back_at: None,
            fruitless: 0,
        }
    }

    /// Until the room is closed.
    pub(super) async fn listen(mut self) {
        let mut closed = self.room.closed.subscribe();
        loop {
            tokio::select! {
                // The sender is in the room.
                _ = closed.wait_for(|closed| *closed) => break,
                () = self.turn() => {}
            }
        }
        drop(self.wire.take());
        if self.owes || self.waits {
            // Without an answer others find the work by looking.
            let _ = timeout(LAST, self.consumer.wake()).await;
        }
    }

    /// One wait, and what follows from it. Dropped at any await it owes what it owed.
    async fn turn(&mut self) {
        self.somebody_waits().await;
        let ended = self.wait().await;
        if *self.room.waiting.borrow() == 0 {
            return;
        }
        match self.consumer.look(1).await {
            Ok(look) => {
                let (due, next) = (look.due > 0, look.next.map(|next| Instant::now() + next));
                self.room.news.send_replace(News { due, next });
                if due && self.owes {
                    self.put_back_at.get_or_insert(Instant::now() + HAND);
                }
                self.slow_down(ended, due).await;
            }
            // Whoever waits sees the same when he looks.
            Err(_) => self.pause().await,
        }
    }

    async fn somebody_waits(&mut self) {
        let mut waiting = self.room.waiting.subscribe();
        while *waiting.borrow_and_update() == 0 {
            let at = match self.put_back_at {
                Some(at) => at,
                None if self.owes => Instant::now(),
                // Any time: nothing is owed.
                None => Instant::now() + BLOCK,
            };
            tokio::select! {
                _ = waiting.changed() => {}
                () = sleep_until(at) => self.put_back().await,
            }
        }
    }

    async fn put_back(&mut self) {
        if !self.owes {
            return;
        }
        match self.consumer.wake().await {
            Ok(()) => (self.owes, self.put_back_at) = (false, None),
            Err(_) => {
                self.pause().await;
                self.put_back_at = Some(Instant::now());
            }
        }
    }

    async fn wait(&mut self) -> Ended {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => match self.consumer.link().dial(Role::Blocking).await {
                Ok(wire) => wire,
                Err(error) => {
                    self.trouble(&error).await;
                    return Ended::Lost;
                }
            },
        };
        let mut command = redis::cmd("BZPOPMIN");
        command.arg(self.consumer.link().keys().key("marker")).arg(BLOCK.as_secs());
        let mut connection = wire.connection();
        let answer = timeout(BLOCK + WATCHDOG, command.query_async::<Value>(&mut connection));
        tokio::pin!(answer);
        self.waits = true;
        let answer = loop {
            let at = self.put_back_at.unwrap_or_else(|| Instant::now() + BLOCK);
            tokio::select! {
                answer = &mut answer => break answer,
                () = sleep_until(at) => self.put_back().await,
            }
        };
        self.waits = false;
        let ended = match answer {
            Ok(Ok(Value::Nil)) => Ended::Nothing,
            Ok(Ok(_)) => Ended::Marker,
            Ok(Err(source)) => {
                self.owes = true;
                let error = RedisError::of("wait for work", source);
                self.trouble(&error).await;
                return Ended::Lost;
            }
            Err(_) => {
                self.owes = true;
                return Ended::Lost;
            }
        };
        self.wire = Some(wire);
        self.trouble.reset();
        self.told = false;
        self.owes |= ended == Ended::Marker;
        ended
    }

    /// Work is still found by looking, as often as is tried.
    async fn trouble(&mut self, error: &RedisError) {
        let answers = matches!(*self.consumer.link().standing().borrow(), super::Standing::Answers);
        // When Redis is away altogether that is told elsewhere.
        if !error.is_transient() && answers && !self.told {
            let reason = error.one_line();
            warn!(reason, "cannot wait for work on a connection of its own; looking for it now and then");
            self.told = true;
        }
        self.pause().await;
    }

    async fn pause(&mut self) {
        sleep(self.trouble.next()).await;
    }

    /// Markers that lead to nothing cost a pause: somebody puts them faster than they could mean anything.
    async fn slow_down(&mut self, ended: Ended, due: bool) {
        if due || ended != Ended::Marker {
            self.fruitless = 0;
            return;
        }
        self.fruitless = self.fruitless.saturating_add(1);
        if let Some(more) = self.fruitless.checked_sub(FRUITLESS) {
            sleep(Duration::from_millis(5).saturating_mul(1 << more.min(8)).min(SLOWEST)).await;
        }
    }
}
