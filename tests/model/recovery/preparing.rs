//! What the effects before a hand-over do to the world: an obligation, a door, a container, a binding.

use safeurl::supervisor::Seen;

use super::effects::over;
use super::model::{How, Progress};
use super::world::{Container, Door, Part, Printed, Stage, World};
use crate::names::Id;
use Progress::{Answered, Waits};

/// A name for a container.
fn name(world: &mut World, w: usize) -> Id {
    world.containers.push(Container {
        maker: w as Id,
        engine: world.workers[w].engine,
        stage: Stage::Absent,
        handed: None,
        printed: Printed::Nothing,
        written: false,
        door: Door::None,
        left: false,
        late: false,
        taken: false,
    });
    (world.containers.len() - 1) as Id
}

pub(crate) fn oblige(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    if how == How::Refused {
        return Answered(Seen::Trouble);
    }
    // Where the container comes before its obligation, it has a name already.
    let id = world.workers[w].attempts[a].container.unwrap_or_else(|| name(world, w));
    let container = &mut world.containers[id as usize];
    container.written = true;
    match how {
        How::Plainly => {
            world.workers[w].attempts[a].container = Some(id);
            Answered(Seen::Done)
        }
        How::Unanswered => {
            container.left = true;
            Answered(Seen::Trouble)
        }
        _ => Waits,
    }
}

pub(crate) fn open_door(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    if how != How::Plainly {
        return Waits;
    }
    let gateway = world.workers[w].gateway;
    if gateway && let Some(id) = world.workers[w].attempts[a].container {
        world.containers[id as usize].door = Door::Open;
    }
    Answered(if gateway { Seen::Done } else { Seen::Trouble })
}

pub(crate) fn create(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    let id = world.workers[w].attempts[a].container.unwrap_or_else(|| name(world, w));
    world.workers[w].attempts[a].container = Some(id);
    let container = &mut world.containers[id as usize];
    let (stage, seen) = match how {
        How::Plainly => (Stage::Created, Seen::Done),
        How::Unanswered => (Stage::Created, Seen::Trouble),
        How::Refused => (container.stage, Seen::Trouble),
        How::Later => {
            container.late = true;
            (Stage::Coming, Seen::Trouble)
        }
        _ => return Waits,
    };
    container.stage = stage;
    Answered(seen)
}

pub(crate) fn start(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    let Some(id) = world.workers[w].attempts[a].container else { return Waits };
    let container = &mut world.containers[id as usize];
    let seen = match how {
        How::Plainly if container.stage == Stage::Created => Seen::Done,
        How::Plainly | How::Unanswered => Seen::Trouble,
        How::Refused => return Answered(Seen::Trouble),
        _ => return Waits,
    };
    if container.stage == Stage::Created {
        container.stage = Stage::Running;
    }
    Answered(seen)
}

pub(crate) fn bind(world: &mut World, w: usize, a: usize, how: How) -> Progress {
    let Some(id) = world.workers[w].attempts[a].container else { return Waits };
    let container = &mut world.containers[id as usize];
    let opens = container.door == Door::Open;
    match how {
        How::Plainly if opens => {
            container.door = Door::Bound;
            Answered(Seen::Done)
        }
        How::Plainly => Answered(Seen::Trouble),
        How::Unanswered if opens => {
            container.door = Door::Bound;
            Answered(Seen::Trouble)
        }
        // The container had used it.
        How::Refused if opens => over(world, w, a, Part::Lost),
        _ => Waits,
    }
}
