//! What both models are made of: a world within bounds, steps of which some are faults, guards of which one may be
//! missing, and what must hold. Each model says only what is its own.

use std::fmt::Debug;
use std::hash::Hash;

use safeurl::domain::scan::Job;
use stateright::{Model, Property};

use crate::edges::template;

/// How large a world is checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    /// The engine of each worker.
    pub(crate) seats: &'static [u8],
    pub(crate) jobs: usize,
    /// Entries that a producer adds to Redis for each job, all naming it; without a Redis none.
    pub(crate) entries: u8,
    /// Attempts that a worker starts at a time.
    pub(crate) slots: usize,
    /// Containers that workers make before there is a job for them, in all.
    pub(crate) pool: u8,
    /// Attempts of each job, and of each entry.
    pub(crate) attempts: u8,
    /// Losses of each job before the first step.
    pub(crate) losses: u8,
    pub(crate) faults: u8,
    /// With the faults of other people's programs, those that strike a single attempt or act in the middle, and every
    /// kind of report.
    pub(crate) rare: bool,
    /// Gone through depth first, which takes less memory. Breadth first finds short counterexamples.
    pub(crate) depth_first: bool,
}

/// One state of a model.
pub(crate) trait World: Debug + Clone + PartialEq + Hash + Send + Sync + 'static {
    /// Faults that may still strike.
    fn faults(&self) -> u8;

    /// One fault strikes.
    fn strike(&mut self);

    /// A step did what no step may do.
    fn is_broken(&self) -> bool;

    /// The same world, with names that follow from what they name.
    fn canonical(self) -> Self;
}

/// One step.
pub(crate) trait Step: Debug + Copy + PartialEq + Send + Sync + 'static {
    fn is_fault(self) -> bool;

    /// A fault beyond those that every world is checked with.
    fn is_rare(self) -> bool;
}

/// Name of a property, and whether a state has it.
pub(crate) type Rule<S> = (&'static str, fn(&Small<S>, &<S as Subject>::World) -> bool);

/// A guard, what it is called, the property that falls with it, and how many faults that takes.
pub(crate) type Fall<G> = (G, &'static str, &'static str, u8);

/// What is modelled.
pub(crate) trait Subject: Sized + Send + Sync + 'static {
    type World: World;
    type Step: Step;
    /// One thing that can be taken away.
    type Guard: Debug + Copy + PartialEq + Send + Sync;

    const RULES: &'static [Rule<Self>];
    const GUARDS: &'static [Fall<Self::Guard>];
    /// States in which a counterexample is looked for.
    const ENOUGH: usize;

    fn new(without: Option<Self::Guard>) -> Self;

    fn begin(model: &Small<Self>) -> Self::World;

    /// Every step that may be one in this world, were there no bounds.
    fn possible(model: &Small<Self>, world: &Self::World, steps: &mut Vec<Self::Step>);

    /// Carries a step out. `false` where it is none.
    fn change(model: &Small<Self>, world: &mut Self::World, step: Self::Step) -> bool;

    /// Every job has come to its best end.
    fn is_completed(world: &Self::World) -> bool;

    /// Leaves steps out whose order nobody can see.
    fn reduce(_: &Small<Self>, _: &Self::World, _: &mut Vec<Self::Step>) {}

    /// The world after a step, by what is asked of every step; `None` where it is none after all.
    fn judge(_: &Small<Self>, _: &Self::World, _: Self::Step, after: Self::World) -> Option<Self::World> {
        Some(after)
    }
}

/// A small world of a subject, as the checker goes through it.
pub(crate) struct Small<S: Subject> {
    pub(crate) config: Config,
    /// What is taken out of the model.
    pub(crate) without: Option<S::Guard>,
    pub(crate) template: Job,
    /// What only this model has.
    pub(crate) own: S,
}

impl<S: Subject> Small<S> {
    pub(crate) fn new(config: Config, without: Option<S::Guard>) -> Self {
        Self { template: template(config.attempts), config, without, own: S::new(without) }
    }

    pub(crate) fn lacks(&self, guard: S::Guard) -> bool {
        self.without == Some(guard)
    }

    /// Every step that may be one in this world.
    pub(crate) fn steps(&self, world: &S::World, steps: &mut Vec<S::Step>) {
        S::possible(self, world, steps);
        if world.faults() == 0 {
            steps.retain(|step| !step.is_fault());
        } else if !self.config.rare {
            steps.retain(|step| !step.is_rare());
        }
    }

    /// The world after a step; `None` where it is none.
    pub(crate) fn take(&self, world: &S::World, step: S::Step) -> Option<S::World> {
        let mut next = world.clone();
        if step.is_fault() {
            if world.faults() == 0 {
                return None;
            }
            next.strike();
        }
        S::change(self, &mut next, step)
            .then(|| next.canonical())
            .and_then(|next| S::judge(self, world, step, next))
    }
}

impl<S: Subject> Model for Small<S> {
    type State = S::World;
    type Action = S::Step;

    fn init_states(&self) -> Vec<S::World> {
        vec![S::begin(self).canonical()]
    }

    fn actions(&self, world: &S::World, steps: &mut Vec<S::Step>) {
        // Nothing follows from what must not be.
        if !world.is_broken() {
            self.steps(world, steps);
            S::reduce(self, world, steps);
        }
    }

    fn next_state(&self, world: &S::World, step: S::Step) -> Option<S::World> {
        self.take(world, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all: Vec<_> = S::RULES.iter().map(|(name, rule)| Property::always(name, *rule)).collect();
        // A model in which nothing happens would have every property above.
        all.push(Property::sometimes("a job completes", |_, world| S::is_completed(world)));
        all
    }
}
