//! Schema registries over Confluent's API (<https://docs.confluent.io/platform/current/schema-registry/develop/api.html>):
//! what is read is the pure room's ([`crate::schemas`]), which compares it.
//!
//! Four kinds of servers speak this API and mean different things by it, so what kind one is is told by what it answers to
//! questions that change nothing; what only a write could tell stays unknown here. Every answer is bounded in size and time,
//! requests run a few at a time, and a registry that stops answering is not asked a thousand times more. Redirects are not
//! followed: credentials would go along.

mod answer;
mod apicurio;
mod client;
mod lookup;
mod read;
mod write;

pub use apicurio::find_native_root;
pub(crate) use apicurio::import_archive;
pub use client::RegistryClient;
pub(crate) use lookup::RegistryLookup;
pub use read::{RegistrySight, look_at_server, read_both, read_content, read_ids};
pub(crate) use read::{find_numbers, find_schema, find_stored, read_settings_of};
pub(crate) use write::RegistryWriter;
