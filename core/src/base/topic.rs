//! Names of parts of a cluster.

use std::fmt;

use super::sanitise::visible_name;
use serde::{Deserialize, Serialize};

/// A topic and a partition number. Ordered by topic, then number. Serialised as `topic:partition`
/// would be ambiguous, so it is a struct in JSON too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: String,
    /// Partition number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// A topic and partition number.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // For people: names go back into requests as they are, each part by itself.
        f.write_str(&visible_name(&format!("{}-{}", self.topic, self.partition)))
    }
}

/// `host:port` as people and tools read it back: an IPv6 address stands in brackets (RFC 3986, 3.2.2).
#[must_use]
pub fn host_port(host: &str, port: impl fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_printed_as_it_is_read_back() {
        for (host, printed) in [
            ("::1", "[::1]:19092"),
            ("fe80::1%eth0", "[fe80::1%eth0]:19092"),
            ("127.0.0.1", "127.0.0.1:19092"),
            ("broker-1.example", "broker-1.example:19092"),
        ] {
            assert_eq!(host_port(host, 19_092), printed);
            assert_eq!(visible_name(printed), printed, "it is shown as it is, too");
        }
    }
}
