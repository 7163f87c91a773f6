//! Feature releases of Apache Kafka.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A feature release of Apache Kafka, `3.9`: what settings, quotas and ACLs a broker knows goes by these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KafkaRelease {
    /// The first number.
    pub major: u16,
    /// The second.
    pub minor: u16,
}

impl KafkaRelease {
    /// One by its two numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// The release whose brokers speak the feature `metadata.version` up to this level (KIP-584, KIP-778; Kafka's
    /// `MetadataVersion.LATEST_PRODUCTION`). `None` below 3.0, where there is no such feature. Levels that this build does not
    /// know are of the first release that it does not know: whoever asks whether a release is at least one of those that it
    /// knows is answered right.
    #[must_use]
    pub fn of_metadata_level(level: i16) -> Option<Self> {
        /// The greatest level of each release.
        const GREATEST: [(i16, KafkaRelease); 14] = [
            (1, KafkaRelease::new(3, 0)),
            (2, KafkaRelease::new(3, 1)),
            (3, KafkaRelease::new(3, 2)),
            (7, KafkaRelease::new(3, 3)),
            (8, KafkaRelease::new(3, 4)),
            (11, KafkaRelease::new(3, 5)),
            (14, KafkaRelease::new(3, 6)),
            (19, KafkaRelease::new(3, 7)),
            (20, KafkaRelease::new(3, 8)),
            (21, KafkaRelease::new(3, 9)),
            (25, KafkaRelease::new(4, 0)),
            (27, KafkaRelease::new(4, 1)),
            (29, KafkaRelease::new(4, 2)),
            (30, KafkaRelease::new(4, 3)),
        ];
        let known = GREATEST.iter().find(|(greatest, _)| level <= *greatest).map(|(_, release)| *release);
        (level > 0).then(|| known.unwrap_or(KafkaRelease::new(4, 4)))
    }
}

impl fmt::Display for KafkaRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for KafkaRelease {
    type Err = String;

    /// Reads `3.9`, `3.9.2` and `3.9-IV0`: what comes behind the second number changes nothing that is compared here.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no release of Kafka: {}", crate::base::sanitise::quoted_name(text));
        let mut parts = text.split(['.', '-']);
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong);
        Ok(Self { major: number()?, minor: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_brokers_and_people_write_them() {
        for (text, release) in [("3.9", (3, 9)), ("3.9.2", (3, 9)), ("3.0-IV1", (3, 0)), ("10.12", (10, 12))] {
            assert_eq!(text.parse(), Ok(KafkaRelease::new(release.0, release.1)), "{text}");
        }
        for text in ["", "3", "x.1", "3.x", "-3.1"] {
            assert!(text.parse::<KafkaRelease>().is_err(), "{text}");
        }
        assert!(KafkaRelease::new(3, 10) > KafkaRelease::new(3, 9), "numbers, and no decimals");
        assert_eq!(KafkaRelease::new(3, 10).to_string(), "3.10");
    }

    #[test]
    fn brokers_say_by_their_features_what_they_run() {
        // What 3.3.2, 3.7.2, 3.8.1, 3.9.2, 4.0.1, 4.1.1, 4.2.0 and 4.3.1 say that they support.
        let said = [7, 19, 20, 21, 25, 27, 29, 30];
        let releases = said.map(|level| KafkaRelease::of_metadata_level(level).unwrap().to_string());
        assert_eq!(releases, ["3.3", "3.7", "3.8", "3.9", "4.0", "4.1", "4.2", "4.3"]);
        assert_eq!(KafkaRelease::of_metadata_level(0), None);
        assert!(KafkaRelease::of_metadata_level(99) > KafkaRelease::of_metadata_level(30), "one that is to come");
    }
}
