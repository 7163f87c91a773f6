//! Hard cutovers of an exactly-once producer: a world of its own, the same machine.

mod asked;
mod boundaries;
mod mended;
mod script;
mod truth;
mod world;

pub use script::play;

type Driver = crate::driver::Driver<world::World>;
