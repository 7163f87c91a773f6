//! One cluster over the wire: the control plane on `kafka-protocol`, the data plane on rdkafka,
//! both configured from one [`properties::ClientProperties`].

pub mod control;
pub mod properties;
