//! The supervisor's loop with the real database and the real gateway process, and an engine that fails on demand.

#[path = "supervisor/adoption.rs"]
mod adoption;
#[path = "supervisor/ahead.rs"]
mod ahead;
#[path = "supervisor/deliveries.rs"]
mod deliveries;
#[path = "supervisor/endings.rs"]
mod endings;
#[path = "supervisor/ends.rs"]
mod ends;
#[path = "supervisor/engine.rs"]
mod engine;
#[path = "supervisor/evidence.rs"]
mod evidence;
#[path = "supervisor/fake.rs"]
mod fake;
#[path = "supervisor/gateway.rs"]
mod gateway;
#[path = "supervisor/leases.rs"]
mod leases;
#[path = "support/log.rs"]
mod log;
#[path = "supervisor/metrics.rs"]
mod metrics;
#[path = "supervisor/pool.rs"]
mod pool;
#[path = "supervisor/redis.rs"]
mod redis;
#[path = "supervisor/remains.rs"]
mod remains;
#[path = "supervisor/reserved.rs"]
mod reserved;
#[path = "supervisor/robots.rs"]
mod robots;
#[path = "supervisor/silence.rs"]
mod silence;
#[path = "supervisor/slots.rs"]
mod slots;
#[path = "supervisor/stage.rs"]
mod stage;
#[path = "supervisor/trouble.rs"]
mod trouble;
#[path = "supervisor/walls.rs"]
mod walls;
