//! One cluster over the wire: the control plane on `kafka-protocol`, the data plane on rdkafka,
//! both configured from one [`properties::ClientProperties`].

pub mod control;
mod librdkafka;
pub mod plane;
pub mod properties;
pub mod records;
pub(crate) mod token;
pub mod writer;
