//! Hard cutovers of an exactly-once producer: a world of its own, the same machine.

mod boundaries;
mod driver;
mod mended;
mod script;
mod world;

pub use script::play;
pub use world::name;
