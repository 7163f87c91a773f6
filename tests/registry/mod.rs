//! Schema registries: the fake one held to recorded ones, and the program's reading and comparing held to it.

mod apply;
mod doctor;
mod killed;
mod reading;
mod recorded;
mod trouble;
mod verb;
