//! The real program in `--serve`, against sites and a gateway that this test plays on loopback.

mod bodies;
mod bridge;
mod by_hand;
#[path = "../../../tests/support/chains.rs"]
mod chains;
mod endings;
mod evidence;
#[path = "../../../tests/support/frames.rs"]
mod frames;
mod hand_over;
mod http2;
mod icon;
mod mixups;
mod redirects;
mod rig;
mod robots;
mod session;
mod smuggling;
mod survival;
mod tls;
