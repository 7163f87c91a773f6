//! Properties that are not a plan's to set: cutover sets them itself, or a claim or the machine would not be safe with
//! them. They never reach librdkafka as the plan has them.

/// What becomes of such a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PropertyFate {
    /// Nothing is connected to with it, because ...
    Refused(&'static str),
    /// It may have this value, which changes nothing; with any other one nothing is connected to, because ...
    Only(&'static str, &'static str),
    /// It has no effect, because ...
    Ignored(&'static str),
}

const LOADS: &str = "it would load a library into cutover, on one of its two planes";
const MEMBER: &str = "cutover joins no group with it";
const COMMITS: &str = "cutover commits what a plan says, and nothing else";
const READS: &str = "cutover bounds and verifies what it reads itself";
const WRITES: &str = "cutover writes each record once, in order, with acks=all";
const UNSIGNED: &str = "a token that nobody signed proves nothing";
// rdkafka's `OAuthToken` has no place for them, and calls librdkafka without any.
const EXTENSIONS: &str = "the data plane's client can't send them (KIP-342), and both planes log in the same way";
const GRANT: &str = "tokens are asked for with the client's id and secret alone (RFC 6749, 4.4)";
const OLD: &str = "without the brokers' versions an older protocol would be spoken, which drops headers and timestamps";

/// What becomes of a property, by librdkafka's own name; `None`: it is used as it is.
pub(super) fn fate_of(name: &str) -> Option<PropertyFate> {
    judge_unsafe(name)
        .or_else(|| judge_consumers(name))
        .or_else(|| judge_producers(name))
        .or_else(|| judge_clients(name))
}

/// What nothing is connected to with: a client would not do, or not see, what is claimed of it.
fn judge_unsafe(name: &str) -> Option<PropertyFate> {
    use PropertyFate::{Only, Refused};
    Some(match name {
        "plugin.library.paths" | "ssl.engine.location" | "ssl.engine.id" | "ssl.providers" => Refused(LOADS),
        "sasl.kerberos.kinit.cmd" => Refused("librdkafka would run it in a shell"),
        "enable.sasl.oauthbearer.unsecure.jwt" | "sasl.oauthbearer.config" => Refused(UNSIGNED),
        "sasl.oauthbearer.extensions" => Refused(EXTENSIONS),
        "sasl.oauthbearer.grant.type" => Only("client_credentials", GRANT),
        "sasl.oauthbearer.metadata.authentication.type" => Only("none", GRANT),
        name if name.starts_with("sasl.oauthbearer.assertion.") => Refused(GRANT),
        "test.mock.num.brokers" | "test.mock.broker.rtt" => Refused("a cluster that does not exist would answer"),
        "topic.blacklist" => Refused("topics would be missing from what is read"),
        "builtin.features" => Refused("it turns parts of the client off"),
        "transactional.id" => Refused("it would fence whoever has that id; cutover's own are its own"),
        "ssl.crl.location" => Refused("the control plane checks no revocation lists, and would trust what it revokes"),
        "api.version.request" => Only("true", OLD),
        "api.version.fallback.ms" | "broker.version.fallback" => Refused(OLD),
        _ => return None,
    })
}

/// What a consumer reads, commits and joins groups with.
fn judge_consumers(name: &str) -> Option<PropertyFate> {
    use PropertyFate::Ignored;
    Some(match name {
        "isolation.level" => {
            Ignored("what is read is said by each look: committed records, up to the last stable offset")
        }
        "statistics.interval.ms"
        | "enable.partition.eof"
        | "check.crcs"
        | "fetch.wait.max.ms"
        | "fetch.error.backoff.ms"
        | "fetch.queue.backoff.ms"
        | "fetch.max.bytes"
        | "fetch.message.max.bytes"
        | "fetch.min.bytes"
        | "queued.max.messages.kbytes"
        | "queued.min.messages"
        | "receive.message.max.bytes"
        | "message.max.bytes"
        | "consume.callback.max.messages" => Ignored(READS),
        "auto.offset.reset" => Ignored("where a group starts is what the offsets say"),
        "auto.commit.enable"
        | "enable.auto.commit"
        | "auto.commit.interval.ms"
        | "enable.auto.offset.store"
        | "offset.store.method"
        | "offset.store.path"
        | "offset.store.sync.interval.ms" => Ignored(COMMITS),
        "group.instance.id"
        | "group.protocol"
        | "group.protocol.type"
        | "group.remote.assignor"
        | "session.timeout.ms"
        | "heartbeat.interval.ms"
        | "max.poll.interval.ms"
        | "partition.assignment.strategy" => Ignored(MEMBER),
        _ => return None,
    })
}

/// What a producer writes with.
fn judge_producers(name: &str) -> Option<PropertyFate> {
    use PropertyFate::Ignored;
    Some(match name {
        "request.required.acks"
        | "enable.idempotence"
        | "enable.gapless.guarantee"
        | "message.timeout.ms"
        | "request.timeout.ms"
        | "message.send.max.retries"
        | "max.in.flight.requests.per.connection"
        | "queuing.strategy"
        | "partitioner"
        | "transaction.timeout.ms"
        | "delivery.report.only.error"
        | "produce.offset.report"
        | "batch.size"
        | "queue.buffering.max.ms"
        | "queue.buffering.max.kbytes"
        | "queue.buffering.max.messages"
        | "queue.buffering.backpressure.threshold"
        | "sticky.partitioning.linger.ms" => Ignored(WRITES),
        _ => return None,
    })
}

/// What any client has that has no effect here.
fn judge_clients(name: &str) -> Option<PropertyFate> {
    use PropertyFate::Ignored;
    Some(match name {
        "client.rack" => Ignored("a follower's end may be behind its leader's, so leaders are read"),
        "allow.auto.create.topics" => Ignored("cutover creates no topic"),
        "log_level" => Ignored("RUST_LOG says what is logged, with --log"),
        "ssl.ca.certificate.stores" => Ignored("it is for Windows: write `ssl.ca.location`"),
        "socket.blocking.max.ms"
        | "reconnect.backoff.jitter.ms"
        | "topic.metadata.refresh.fast.cnt"
        | "metadata.request.timeout.ms" => Ignored("librdkafka uses it no longer"),
        _ => return None,
    })
}
