//! Brokers with an authorizer, and users of SASL who may do what a test grants.

use cutover::base::Side;
use cutover::kafka::control::Cluster;
use cutover::kafka::properties::ClientProperties;

use super::{Broker, HeldPort, take_port, throwaway, throwaway_old};

/// A broker with an authorizer, and the port of its SASL listener. ANONYMOUS, on the plain listener, may do everything; these
/// users of SASL PLAIN, all with the password `secret`, nothing but what a test grants. `old`: 2.8.2.
pub fn start_guarded<S: AsRef<str>>(name: &str, old: bool, users: &[S]) -> (Broker, HeldPort) {
    let sasl = take_port();
    let listeners = |more: &str| format!("PLAINTEXT://127.0.0.1:{{client}},SASL://127.0.0.1:{}{more}", sasl.number);
    let (binds, advertises) = (listeners(if old { "" } else { ",CONTROLLER://127.0.0.1:{controller}" }), listeners(""));
    let authorizer = match old {
        true => "kafka.security.authorizer.AclAuthorizer",
        false => "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    };
    let users: String = users.iter().map(|user| format!(" user_{}=\"secret\"", user.as_ref())).collect();
    let users = format!("org.apache.kafka.common.security.plain.PlainLoginModule required{users};");
    let extra = [
        ("authorizer.class.name", authorizer),
        ("super.users", "User:ANONYMOUS"),
        ("listeners", &binds),
        ("advertised.listeners", &advertises),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT"),
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("listener.name.sasl.plain.sasl.jaas.config", &users),
    ];
    (if old { throwaway_old(name, &extra) } else { throwaway(name, &extra) }, sasl)
}

/// Such a cluster as one of its users sees it.
pub fn connect_as(side: Side, sasl: &HeldPort, user: &str) -> Cluster {
    let properties = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", user),
        ("sasl.password", "secret"),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Cluster::new(side, &format!("127.0.0.1:{}", sasl.number), &ClientProperties::new(properties.into()))
}
