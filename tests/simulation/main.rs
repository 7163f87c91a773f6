//! The simulated Kafka: unmodified clients against it.

mod clients;
mod estate;
