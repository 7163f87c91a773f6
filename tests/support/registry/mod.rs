//! The simulated schema registry (`cutover::sim::registry`) as tests want it: it starts, and speaks HTTPS too.
#![allow(dead_code, unused_imports)]

use std::net::TcpStream;
use std::sync::Arc;

pub use cutover::sim::registry::{Manner, RegistryAsked as Asked, RegistryState as State, http_answer};
use cutover::sim::registry::{RegistryStream, SimRegistry};
use openssl::ssl::SslAcceptor;

/// A registry that runs.
#[derive(Clone)]
pub struct FakeRegistry(SimRegistry);

impl std::ops::Deref for FakeRegistry {
    type Target = SimRegistry;

    fn deref(&self) -> &SimRegistry {
        &self.0
    }
}

impl FakeRegistry {
    /// One that speaks HTTP.
    pub fn start(state: State) -> Self {
        Self(SimRegistry::start(state).expect("a free port"))
    }

    /// One that speaks HTTPS.
    pub fn start_with_tls(state: State, acceptor: SslAcceptor) -> Self {
        let wrap = move |stream: TcpStream| {
            let stream = acceptor.accept(stream).ok()?;
            Some(Box::new(stream) as Box<dyn RegistryStream>)
        };
        Self(SimRegistry::serve(state, "https", Arc::new(wrap)).expect("a free port"))
    }
}
