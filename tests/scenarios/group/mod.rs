//! One group that moves, and one producer that writes to both clusters.

mod asked;
mod boundaries;
mod script;
mod world;

pub use asked::settings;
pub use script::play;

type Driver = crate::driver::Driver<world::World>;
