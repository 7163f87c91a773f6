//! What can be told of TLS without a network: what of the client's own certificate is missing or said twice, and who
//! could stand in for the other side.

use super::{ALGORITHM, PropertyFinding, PropertyValues, SecurityProtocol, VERIFICATION};
use crate::base::Trouble;

/// Who could stand in for the other side, by what the properties leave unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Impostor {
    /// No certificate is checked.
    Anybody,
    /// No name is looked for in a certificate, and the CAs are the system's: all public ones.
    AnyCustomer,
    /// The same with a CA that the properties name.
    Neighbour,
}

impl Impostor {
    /// Who it is with these properties; `None`: nobody, as far as they are known.
    #[must_use]
    pub(super) fn find(values: &PropertyValues<'_>) -> Option<Impostor> {
        let known = |name: &str| values.get(name).copied().flatten();
        if known(VERIFICATION).is_some_and(|v| ["false", "f", "0"].iter().any(|off| v.eq_ignore_ascii_case(off))) {
            return Some(Impostor::Anybody);
        }
        known(ALGORITHM).filter(|v| v.is_empty() || v.eq_ignore_ascii_case("none"))?;
        // `probe` is librdkafka's word for the system's CAs.
        let own = |name: &str| values.get(name).is_some_and(|v| v.is_none_or(|v| !v.is_empty() && v != "probe"));
        let named = own("ssl.ca.location") || own("ssl.ca.pem");
        Some(if named { Impostor::Neighbour } else { Impostor::AnyCustomer })
    }

    /// Whom a secret would reach.
    #[must_use]
    pub(super) fn who_answers(self) -> &'static str {
        match self {
            Impostor::Anybody => "whoever answers",
            Impostor::AnyCustomer => "whoever has a certificate of any public CA",
            Impostor::Neighbour => "whoever has a certificate of the CA that is trusted",
        }
    }

    /// Who could pass on what is sent.
    #[must_use]
    pub(super) fn who_listens(self) -> &'static str {
        match self {
            Impostor::Anybody => "whoever stands between",
            Impostor::AnyCustomer | Impostor::Neighbour => self.who_answers(),
        }
    }

    /// What a person should know. `risk`: what the impostor could do.
    #[must_use]
    pub(super) fn warn_of(self, risk: &str) -> PropertyFinding {
        const NAMES: &str = "leave it out, and connect by names that the certificates have";
        let (name, gap, advice) = match self {
            Impostor::Anybody => (VERIFICATION, "no certificate is checked", "set `ssl.ca.location` instead"),
            Impostor::Neighbour => (ALGORITHM, "no host name is checked", NAMES),
            Impostor::AnyCustomer => (
                ALGORITHM,
                "no host name is checked, and every public CA is trusted",
                "leave it out, or at least set `ssl.ca.location` to the CA of this cluster alone",
            ),
        };
        PropertyFinding::new_warning(name, Trouble::new(format!("{gap}: {risk}"), advice))
    }
}

/// What does not fit together where TLS is used.
pub(super) fn check_tls(is: SecurityProtocol, values: &PropertyValues<'_>, found: &mut Vec<PropertyFinding>) {
    check_own_certificate(values, found);
    // Where there is a login too, it is warned of what that would give away.
    if let Some(impostor) = Impostor::find(values).filter(|_| !is.uses_sasl()) {
        let risk = format!("{} reads all that passes, and can change it", impostor.who_listens());
        found.push(impostor.warn_of(&risk));
    }
}

/// What a person should know of properties that HTTP is spoken with.
#[must_use]
pub(crate) fn warn_of_http(values: &PropertyValues<'_>) -> Option<PropertyFinding> {
    let impostor = Impostor::find(values)?;
    Some(impostor.warn_of(&format!("what is sent, credentials included, goes to {}", impostor.who_answers())))
}

fn check_own_certificate(values: &PropertyValues<'_>, found: &mut Vec<PropertyFinding>) {
    let is_given = |name: &str| values.get(name).is_some_and(|v| v.is_none_or(|v| !v.is_empty()));
    let one_of = |names: &[&'static str]| names.iter().copied().find(|name| is_given(name));
    let certificate = one_of(&["ssl.certificate.location", "ssl.certificate.pem"]);
    let key = one_of(&["ssl.key.location", "ssl.key.pem"]);
    let store = one_of(&["ssl.keystore.location"]);
    let mut refuse = |name: &str, what: String, advice: &str| {
        found.push(PropertyFinding::new_refusal(name, Trouble::new(what, advice)));
    };
    match (certificate, key, store) {
        (Some(name), None, None) => {
            refuse(name, "a client certificate is set without its private key".into(), "set `ssl.key.location` too");
        }
        (None, Some(name), None) => {
            let what = "a private key is set without its certificate";
            refuse(name, what.into(), "set `ssl.certificate.location` too");
        }
        (_, _, Some(name)) if !is_given("ssl.keystore.password") => {
            refuse(name, "a key store is set without its password".into(), "set `ssl.keystore.password` too");
        }
        _ => {}
    }
    // Which of the two is sent would be each client's own choice.
    if let (Some(store), Some(other)) = (store, certificate.or(key)) {
        refuse(other, format!("`{store}` and `{other}` are both set"), "leave one of them out");
    }
    for [one, other] in [
        ["ssl.ca.location", "ssl.ca.pem"],
        ["ssl.certificate.location", "ssl.certificate.pem"],
        ["ssl.key.location", "ssl.key.pem"],
    ] {
        if is_given(one) && is_given(other) {
            refuse(other, format!("`{one}` and `{other}` are both set"), "leave one of them out");
        }
    }
}
