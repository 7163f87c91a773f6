use super::*;

/// Findings as `name: what (advice)`, `!` before what is refused.
fn said(pairs: &[(&str, &str)]) -> Vec<String> {
    let values: PropertyValues<'_> = pairs.iter().map(|(n, v)| (*n, (*v != "?").then_some(*v))).collect();
    let line = |f: PropertyFinding| {
        let mark = if f.refused { "!" } else { "" };
        format!("{mark}{}: {} ({})", f.name, f.trouble.what, f.trouble.advice)
    };
    check_properties(&values).into_iter().map(line).collect()
}

/// The one finding about these, which is refused.
fn refused(pairs: &[(&str, &str)]) -> String {
    let said = said(pairs);
    assert!(said.len() == 1 && said[0].starts_with('!'), "{pairs:?}: {said:?}");
    said.into_iter().next().unwrap()
}

#[test]
fn the_table_is_sorted_and_whole() {
    assert!(names::KNOWN.is_sorted_by_key(|row| row.name));
    for row in names::KNOWN.iter().filter(|row| row.alias.is_some()) {
        assert!(
            is_known(canonical_name(row.name)) && canonical_name(canonical_name(row.name)) == canonical_name(row.name),
            "{}",
            row.name
        );
    }
    let java: Vec<&str> = names::JAVA.iter().map(|(java, _)| *java).collect();
    assert!(java.iter().all(|java| !is_known(java)), "one name, one answer");
}

#[test]
fn librdkafka_knows_each_name_and_takes_what_the_table_says() {
    for row in names::KNOWN {
        let values: Vec<String> = match row.kind {
            ValueKind::Text | ValueKind::File | ValueKind::FileOrFolder | ValueKind::Command => continue,
            ValueKind::Bool => vec!["true".into(), "false".into()],
            ValueKind::Whole(least, most) => vec![least.to_string(), most.to_string()],
            ValueKind::Number(least, most) => vec![least.to_string(), most.to_string()],
            ValueKind::Words(words) | ValueKind::List(words) => words.iter().map(|w| (*w).to_owned()).collect(),
        };
        for value in values {
            let mut config = rdkafka::ClientConfig::new();
            config.set(row.name, &value);
            assert!(config.create_native_config().is_ok(), "{} = {value}", row.name);
        }
        let past = match row.kind {
            ValueKind::Whole(_, most) if most < i64::from(i32::MAX) => (most + 1).to_string(),
            ValueKind::Words(_) | ValueKind::List(_) | ValueKind::Bool => "nonsense".to_owned(),
            _ => continue,
        };
        let mut config = rdkafka::ClientConfig::new();
        config.set(row.name, &past);
        assert!(config.create_native_config().is_err(), "{} = {past}", row.name);
        assert!(property_value_trouble(row, &past, ValueOrigin::Written).is_some(), "{} = {past}", row.name);
    }
}

#[test]
fn a_misspelt_name_is_refused_with_what_was_meant() {
    for (wrong, right) in [
        ("securty.protocol", "security.protocol"),
        ("sasl.pasword", "sasl.password"),
        ("ssl.ca.locaton", "ssl.ca.location"),
        ("SECURITY_PROTOCOL", "security.protocol"),
        ("consumer.security.protocol", "security.protocol"),
        ("producer.override.sasl.username", "sasl.username"),
        ("ssl.truststore.locaton", "ssl.truststore.location"),
    ] {
        let said = refused(&[(wrong, "x")]);
        assert!(said.contains(&format!("did you mean `{right}`?")), "{said}");
    }
    assert!(refused(&[("frobnicate", "s3cr3t-value")]).contains("CONFIGURATION.md"));
}

#[test]
fn the_java_clients_names_have_their_counterpart() {
    for (java, here) in [
        ("sasl.jaas.config", "`sasl.username` and `sasl.password`"),
        ("ssl.truststore.location", "`ssl.ca.location`"),
        ("max.poll.records", "member of no group"),
        ("max.request.size", "`message.max.bytes`"),
        ("key.deserializer", "bytes"),
        ("receive.buffer.bytes", "`socket.receive.buffer.bytes`"),
        ("interceptor.classes", "no Java class"),
    ] {
        let said = refused(&[(java, "x")]);
        assert!(said.contains("of the Java client") && said.contains(here), "{said}");
    }
}

#[test]
fn no_finding_repeats_what_is_or_may_be_a_secret() {
    for (name, value) in [
        ("sasl.pasword", "c4nary"),
        ("sasl.jaas.config", "password=c4nary"),
        ("sasl.oauthbearer.assertion.algorithm", "c4nary"),
        ("sasl.oauthbearer.token", "c4nary"),
        ("bootstrap.servers", "c4nary"),
        ("transactional.id", "c4nary"),
    ] {
        let said = format!("{:?}", said(&[(name, value)]));
        assert!(!said.contains("c4nary"), "{said}");
    }
}

#[test]
fn what_comes_from_a_variable_or_a_file_is_never_repeated() {
    let names = [
        "sasl.mechanism",
        "sasl.mechanisms",
        "security.protocol",
        "socket.timeout.ms",
        "linger.ms",
        "debug",
        "enable.ssl.certificate.verification",
        "ssl.endpoint.identification.algorithm",
        "ssl.ca.location",
        "api.version.request",
    ];
    for name in names {
        let whole = [("security.protocol", Some("SASL_SSL")), ("sasl.username", Some("a")), ("sasl.password", None)];
        let mut values: PropertyValues<'_> = whole.into();
        values.insert(name, Some("c4nary-pw"));
        let findings = check_with(&values, &[name].into());
        let said = format!("{findings:?} {:?}", check_elsewhere(name, "c4nary-pw"));
        assert!(said.contains(&format!("`{name}`")) || name.contains("mechanism"), "{name}: nothing is found: {said}");
        assert!(!said.contains("c4nary"), "{name}: {said}");
        // as it may be repeated where it stands in the plan for everyone to read
        assert!(name == "ssl.ca.location" || check_properties(&values).iter().any(|f| f.refused), "{name}");
    }
    let near = check_with(&[("security.protocol", Some("SASL_SSSL"))].into(), &["security.protocol"].into());
    assert!(!format!("{near:?}").contains("did you mean"), "what it is like tells of it: {near:?}");
    let file = check_elsewhere("ssl.ca.location", "c4nary-pw").unwrap();
    assert!(file.what.starts_with("`ssl.ca.location`: the file that it names can't be read: "), "{file:?}");
    assert!(file_trouble("ssl.ca.location", "/no/such.pem").unwrap().what.contains("/no/such.pem can't be read"));
}

#[test]
fn an_empty_value_is_none_and_turns_the_check_of_host_names_off() {
    let pairs = [
        ("ssl.endpoint.identification.algorithm", ""),
        ("ssl.ca.location", ""),
        ("debug", ""),
        ("client.id", ""),
        ("sasl.username", "app"),
        ("security.protocol", ""),
        ("socket.timeout.ms", ""),
        ("securty.protocol", ""),
    ];
    let found = normalise_values(pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect());
    let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let stays = [
        // what these would mean is not for anybody to guess: they are refused
        ("sasl.username", "app"),
        ("security.protocol", ""),
        ("securty.protocol", ""),
        ("socket.timeout.ms", ""),
        ("ssl.endpoint.identification.algorithm", "none"),
    ];
    assert_eq!(found, stays);
}

#[test]
fn a_protocol_is_read_in_one_way() {
    assert_eq!(SecurityProtocol::from_name("sasl_Ssl"), Some(SecurityProtocol::SaslSsl));
    for odd in ["SASL_SSL ", "", "TLS"] {
        assert_eq!(SecurityProtocol::from_name(odd), None, "{odd:?}");
        assert!(refused(&[("security.protocol", odd)]).contains("must be one of PLAINTEXT"), "{odd:?}");
    }
}

#[test]
fn values_are_checked() {
    for (name, value, words) in [
        ("security.protocol", "SASL_SSSL", "did you mean `SASL_SSL`? It must be one of PLAINTEXT, SSL"),
        ("socket.timeout.ms", "5s", "a whole number from 10 to 300000"),
        ("socket.timeout.ms", "5", "a whole number from 10 to 300000"),
        ("socket.keepalive.enable", "yes", "true or false"),
        ("broker.address.family", "v5", "one of any, v4, v6"),
        ("debug", "security,brokr", "did you mean `broker`?"),
        ("client.id", "a\0b", "NUL"),
    ] {
        let said = refused(&[(name, value)]);
        assert!(said.contains(words), "{said}");
    }
    for (name, value) in [("security.protocol", "plaintext"), ("debug", "security, broker"), ("debug", "")] {
        assert_eq!(said(&[(name, value)]), Vec::<String>::new(), "{name} = {value}");
    }
}

#[test]
fn what_is_not_a_plans_to_set_is_refused_or_told() {
    for name in [
        "plugin.library.paths",
        "ssl.engine.location",
        "test.mock.num.brokers",
        "topic.blacklist",
        "transactional.id",
        "sasl.kerberos.kinit.cmd",
        "broker.version.fallback",
    ] {
        let values: PropertyValues<'_> = [("security.protocol", None), (name, Some("1"))].into();
        let found = check_properties(&values);
        assert!(found.len() == 1 && found[0].refused && found[0].trouble.advice == "leave it out", "{found:?}");
        assert!(!is_used(name));
    }
    assert!(refused(&[("api.version.request", "false")]).contains("drops headers and timestamps"));
    assert_eq!(said(&[("api.version.request", "true")]), Vec::<String>::new());
    // of a producer only, of a consumer only: neither breaks the other
    for name in ["acks", "linger.ms", "auto.offset.reset", "isolation.level", "session.timeout.ms", "max.in.flight"] {
        let value = match find_property(name).unwrap().kind {
            ValueKind::Words(words) => words[0],
            _ => "1",
        };
        let said = said(&[(name, value)]);
        assert!(said.len() == 1 && said[0].contains("has no effect"), "{said:?}");
        assert!(!is_used(name));
    }
    assert!(is_used("compression.type") && is_used("group.id") && is_used("sasl.mechanism"));
}

/// Names of cutover's own: one that librdkafka comes to know would mean two things.
#[test]
fn librdkafka_knows_none_of_the_names_that_are_cutovers_own() {
    for name in [bearer::TOKEN, bearer::TOKEN_FILE, bearer::TOKEN_COMMAND, bearer::AWS_COMMAND, bearer::AWS_REGION] {
        let mut config = rdkafka::ClientConfig::new();
        config.set(name, "x");
        assert!(is_known(name) && config.create_native_config().is_err(), "{name}");
        assert!(is_for_tokens(name), "{name}");
    }
}

#[test]
fn two_names_of_one_property_leave_nothing_to_chance() {
    let said = said(&[("sasl.mechanism", "PLAIN"), ("sasl.mechanisms", "PLAIN"), ("security.protocol", "?")]);
    assert_eq!(
        said,
        [
            "!sasl.mechanism: `sasl.mechanism` and `sasl.mechanisms` are two names of one property (leave one of them out)"
        ]
    );
    assert!(refused(&[("compression.type", "lz4"), ("compression.codec", "zstd")]).contains("two names"));
}

#[test]
fn a_connection_that_would_be_another_one_than_somebody_thinks_is_refused() {
    let said_of = |pairs: &[(&str, &str)]| said(pairs).join("\n");
    let plain = said_of(&[("sasl.username", "app"), ("sasl.password", "?")]);
    assert!(
        plain.contains("!sasl.password: `sasl.password` is set, and `security.protocol` is PLAINTEXT, as none is set"),
        "{plain}"
    );
    let tls = said_of(&[("ssl.ca.location", "x.pem")]);
    assert!(tls.contains("nothing would be encrypted") && !tls.contains('!'), "{tls}");
    let none = refused(&[("security.protocol", "SASL_SSL"), ("sasl.username", "a"), ("sasl.password", "?")]);
    assert!(none.contains("no `sasl.mechanism` is set, which means GSSAPI"), "{none}");
    for mechanism in ["GSSAPI", "SCRAM-SHA-1", "PLIAN"] {
        let said = refused(&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", mechanism)]);
        assert!(said.contains(mechanism) && said.contains("SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM work"), "{said}");
    }
    let whole = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "plain"),
        ("sasl.username", "a"),
        ("sasl.password", "?"),
    ];
    assert_eq!(said_of(&whole), "");
    assert!(refused(&whole[..3]).contains("needs `sasl.password`"));
    let unchecked = said_of(&[whole.as_slice(), &[("enable.ssl.certificate.verification", "false")]].concat());
    assert!(unchecked.contains("the password goes to whoever answers"), "{unchecked}");
    for (mechanism, tls, words) in [
        ("scram-sha-512", "SASL_SSL", "needs `sasl.password`"),
        ("SCRAM-SHA-256", "SASL_PLAINTEXT", "SASL SCRAM-SHA-256 without TLS: who listens can try passwords"),
        ("PLAIN", "SASL_PLAINTEXT", "SASL PLAIN without TLS: the password crosses the network for everyone to read"),
    ] {
        let own = [("security.protocol", tls), ("sasl.mechanism", mechanism), ("sasl.username", "a")];
        let pairs = [&own[..], &[("sasl.password", "?")]].concat();
        let said = said_of(if tls == "SASL_SSL" { &own } else { &pairs });
        assert!(said.contains(words) && said.contains(&mechanism.to_ascii_uppercase()), "{said}");
        assert_eq!(said.contains('!'), tls == "SASL_SSL", "allowed with a warning: the line may be a tunnel: {said}");
    }
    let half = refused(&[("security.protocol", "SSL"), ("ssl.key.location", "k.pem")]);
    assert!(half.contains("set `ssl.certificate.location` too"), "{half}");
    let two = refused(&[("security.protocol", "SSL"), ("ssl.ca.location", "k.pem"), ("ssl.ca.pem", "?")]);
    assert!(two.contains("both set"), "{two}");
    // what comes from elsewhere and is not there yet is looked at when it is used
    assert_eq!(said_of(&[("security.protocol", "?"), ("sasl.password", "?")]), "");
}

/// Of a line on which names are not compared a person hears as of one on which no certificate is.
#[test]
fn who_could_stand_in_for_a_broker_is_said_of_every_way_to_leave_names_unchecked() {
    let plain = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "a"),
        ("sasl.password", "?"),
    ];
    let scram = plain.map(|(name, value)| (name, if value == "PLAIN" { "SCRAM-SHA-256" } else { value }));
    let ssl = [("security.protocol", "SSL")];
    for off in ["none", "None", "NONE", ""] {
        let names = ("ssl.endpoint.identification.algorithm", off);
        for (own, public) in
            [(None, true), (Some(("ssl.ca.location", "probe")), true), (Some(("ssl.ca.pem", "?")), false)]
        {
            let said = |base: &[(&str, &str)]| {
                let all = said(&[base, &[names], own.as_slice()].concat());
                assert!(all.len() == 1 && !all[0].starts_with('!'), "{off:?}: {all:?}");
                all.into_iter().next().unwrap()
            };
            let who = if public {
                "whoever has a certificate of any public CA"
            } else {
                "whoever has a certificate of the CA that is trusted"
            };
            assert!(said(&plain).contains(&format!("the password goes to {who}")), "{}", said(&plain));
            assert!(said(&scram).contains(&format!("{who} can pass the proof on")), "{}", said(&scram));
            assert!(said(&ssl).contains(&format!("{who} reads all that passes, and can change it")), "{}", said(&ssl));
            assert_eq!(said(&ssl).contains("and every public CA is trusted"), public, "louder: {}", said(&ssl));
        }
    }
    for base in [&plain[..], &scram, &ssl] {
        assert_eq!(said(&[base, &[("ssl.endpoint.identification.algorithm", "HTTPS")]].concat()), Vec::<String>::new());
    }
    let unchecked = said(&[("security.protocol", "SSL"), ("enable.ssl.certificate.verification", "F")]).join("");
    assert!(
        unchecked.contains("no certificate is checked: whoever stands between reads all that passes"),
        "{unchecked}"
    );
    let http = warn_of_http(&[("enable.ssl.certificate.verification", Some("false"))].into()).unwrap();
    assert!(http.trouble.what.ends_with("credentials included, goes to whoever answers") && !http.refused, "{http:?}");
    assert_eq!(warn_of_http(&[("ssl.ca.location", Some("x.pem"))].into()), None);
}

#[test]
fn a_key_store_beside_a_certificate_or_a_key_is_refused() {
    let store = [("security.protocol", "SSL"), ("ssl.keystore.location", "a.p12"), ("ssl.keystore.password", "?")];
    assert_eq!(said(&store), Vec::<String>::new());
    for other in ["ssl.certificate.location", "ssl.certificate.pem", "ssl.key.location", "ssl.key.pem"] {
        let refused = refused(&[&store[..], &[(other, "?")]].concat());
        assert!(refused.contains(&format!("`ssl.keystore.location` and `{other}` are both set")), "{refused}");
    }
}

#[test]
fn secrets_are_known_by_their_names() {
    for name in [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "sasl.jaas.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.token",
        "sasl.oauthbearer.client.credentials.client.secret",
    ] {
        assert!(is_secret(name) && !is_public(name), "{name}");
    }
    for name in [
        "sasl.username",
        "ssl.ca.location",
        "ssl.key.location",
        "security.protocol",
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.oauthbearer.token.file",
        "sasl.aws.credentials.command",
    ] {
        assert!(!is_secret(name) && is_public(name), "{name}");
    }
    assert!(!is_secret("sasl.pasword") && !is_public("sasl.pasword"), "nobody knows what it is");
}

#[test]
fn where_a_token_comes_from_is_said_once_and_whole() {
    const URL: (&str, &str) = ("sasl.oauthbearer.token.endpoint.url", "https://idp.example/token");
    const OIDC: (&str, &str) = ("sasl.oauthbearer.method", "OIDC");
    let bearer = |more: &[(&str, &str)]| {
        said(&[&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "oauthbearer")], more].concat())
    };
    let client = [("sasl.oauthbearer.client.id", "app"), ("sasl.oauthbearer.client.secret", "?")];
    let asked = [&[OIDC, URL], &client[..]].concat();
    assert_eq!(bearer(&asked), Vec::<String>::new());
    // the names that the Java client has since KIP-1139
    let java = [
        OIDC,
        URL,
        ("sasl.oauthbearer.client.credentials.client.id", "app"),
        ("sasl.oauthbearer.client.credentials.client.secret", "?"),
    ];
    assert_eq!(bearer(&java), Vec::<String>::new());
    for missing in 1..asked.len() {
        let some: Vec<_> = asked.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, pair)| *pair).collect();
        let said = bearer(&some).join("\n");
        let needs = format!("needs `{}`, and it is not set (set `{0}`)", asked[missing].0);
        assert!(said.starts_with('!') && said.contains(&needs), "{said}");
    }
    for own in ["sasl.oauthbearer.token", "sasl.oauthbearer.token.file"] {
        assert_eq!(bearer(&[(own, "?")]), Vec::<String>::new());
        let twice = bearer(&[&asked[..], &[(own, "?")]].concat()).join("\n");
        assert!(twice.contains("which token counts is not said"), "{twice}");
    }
    assert_eq!(bearer(&[("sasl.oauthbearer.token.command", "[\"print-token\",\"--quiet\"]")]), Vec::<String>::new());
    let words = bearer(&[("sasl.oauthbearer.token.command", "print-token --quiet")]).join("\n");
    assert!(words.contains("as a list: [\"PROGRAM\", \"ARGUMENT\"]"), "{words}");
    let none = bearer(&[]).join("\n");
    assert!(none.contains("nothing says where it comes from") && none.contains("{ file = \"PATH\" }"), "{none}");
    let unasked = bearer(&[URL]).join("\n");
    assert!(unasked.contains("write \"sasl.oauthbearer.method\" = \"oidc\""), "{unasked}");
    let open =
        bearer(&[&[OIDC, ("sasl.oauthbearer.token.endpoint.url", "http://idp.example/t")], &client[..]].concat());
    assert!(
        open.len() == 1 && open[0].contains("read the secret and the token") && !open[0].starts_with('!'),
        "{open:?}"
    );
    let within = ("sasl.oauthbearer.token.endpoint.url", "https://app:c4nary@idp.example/t");
    let within = bearer(&[&[OIDC, within], &client[..]].concat()).join("\n");
    assert!(within.contains("holds credentials") && !within.contains("c4nary"), "{within}");
}

#[test]
fn what_does_nothing_for_a_mechanism_is_told() {
    let said_of = |mechanism: &str, more: &[(&str, &str)]| {
        let base = [("security.protocol", "SASL_SSL"), ("sasl.mechanism", mechanism)];
        said(&[&base, more].concat()).join("\n")
    };
    let token = ("sasl.oauthbearer.token", "?");
    for (mechanism, more, idle) in [
        ("OAUTHBEARER", vec![token, ("sasl.password", "?")], "sasl.password"),
        ("OAUTHBEARER", vec![token, ("https.ca.location", "probe")], "https.ca.location"),
        ("OAUTHBEARER", vec![token, ("sasl.aws.region", "x")], "sasl.aws.region"),
        ("AWS_MSK_IAM", vec![token], "sasl.oauthbearer.token"),
        ("PLAIN", vec![("sasl.username", "a"), ("sasl.password", "?"), token], "sasl.oauthbearer.token"),
    ] {
        let said = said_of(mechanism, &more);
        assert!(said.contains(&format!("`{idle}` has no effect: the mechanism is {mechanism}")), "{said}");
        assert!(!said.contains('!'), "{said}");
    }
    assert_eq!(said_of("AWS_MSK_IAM", &[("sasl.aws.region", "eu-central-1")]), "");
}

#[test]
fn what_a_token_would_give_away_is_said_as_of_a_password() {
    let token = ("sasl.oauthbearer.token", "?");
    let open = said(&[("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "OAUTHBEARER"), token]).join("");
    assert!(open.contains("who listens can log in with the token until it expires"), "{open}");
    let unchecked = said(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "AWS_MSK_IAM"),
        ("enable.ssl.certificate.verification", "false"),
    ])
    .join("");
    assert!(unchecked.contains("the token goes to whoever answers"), "{unchecked}");
}
