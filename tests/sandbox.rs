//! The sandbox against a real Docker engine: one test per way a container can end, and the walls seen from both
//! sides. The fetcher is played by a puppet that does as it is told.

#[path = "sandbox/easing.rs"]
mod easing;
#[path = "sandbox/endings.rs"]
mod endings;
#[path = "sandbox/engine.rs"]
mod engine;
#[path = "sandbox/following.rs"]
mod following;
#[path = "sandbox/haunted.rs"]
mod haunted;
#[path = "support/log.rs"]
mod log;
#[path = "support/engine.rs"]
mod own_engine;
#[path = "sandbox/probe.rs"]
mod probe;
#[path = "sandbox/proxy.rs"]
mod proxy;
#[path = "sandbox/restarts.rs"]
mod restarts;
#[path = "sandbox/support.rs"]
mod support;
#[path = "sandbox/walls.rs"]
mod walls;
