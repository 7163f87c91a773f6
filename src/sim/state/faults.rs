//! Faults on request: what a test or the demo makes go wrong. They are data in the state; the wire server obeys.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;

/// When a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionCut {
    /// Before the request has any effect.
    BeforeEffect,
    /// After the effect, before the answer: the client can't know.
    BeforeAnswer,
}

/// What goes wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// By topic: how many more produce requests fail, and with what.
    pub fail_produce: BTreeMap<String, (u32, ResponseError)>,
    /// How many more offset commits are answered with an error and not written.
    pub fail_commit: Option<(u32, ResponseError)>,
    /// How many more lookups of a coordinator find none.
    pub no_coordinator: u32,
    /// By node id: every answer waits this many ms.
    pub delay_ms: BTreeMap<i32, u64>,
    /// By API key: how many more requests have their connection cut, and when.
    pub cut: BTreeMap<i16, (u32, ConnectionCut)>,
    /// By API key: the highest version that brokers offer, as an old one would; -1 hides the API.
    pub newest: BTreeMap<i16, i16>,
}

impl Faults {
    /// Fails the next `times` produce requests to `topic`.
    pub fn fail_next_produces(&mut self, topic: &str, times: u32, error: ResponseError) {
        self.fail_produce.insert(topic.to_owned(), (times, error));
    }

    /// Cuts the connection of the next `times` requests of an API (its key number).
    pub fn cut_next(&mut self, api_key: i16, times: u32, cut: ConnectionCut) {
        self.cut.insert(api_key, (times, cut));
    }

    /// Offers an API only up to `version`, as an older broker does; -1 hides it. Connections that are open go on as
    /// they began: clients ask for versions once.
    pub fn limit_version(&mut self, api_key: i16, version: i16) {
        self.newest.insert(api_key, version);
    }

    /// Delays every answer of a broker; 0 ends it.
    pub fn delay(&mut self, broker: i32, ms: u64) {
        self.delay_ms.insert(broker, ms);
    }

    pub(crate) fn take_produce_failure(&mut self, topic: &str) -> Option<ResponseError> {
        let (left, error) = self.fail_produce.get_mut(topic)?;
        let error = *error;
        // At 0 it is used up, and nothing fails any more.
        *left = left.checked_sub(1)?;
        Some(error)
    }

    pub(crate) fn take_commit_failure(&mut self) -> Option<ResponseError> {
        let (left, error) = self.fail_commit.as_mut()?;
        *left = left.checked_sub(1)?;
        Some(*error)
    }

    pub(crate) fn take_no_coordinator(&mut self) -> bool {
        let one = self.no_coordinator.checked_sub(1);
        self.no_coordinator = one.unwrap_or(0);
        one.is_some()
    }

    pub(crate) fn take_cut(&mut self, api_key: i16) -> Option<ConnectionCut> {
        let (left, cut) = self.cut.get_mut(&api_key)?;
        let cut = *cut;
        *left = left.checked_sub(1)?;
        Some(cut)
    }
}
