use super::stores::recognise_store;
use super::*;

/// What a file becomes: a line a property, secrets as `(secret)`, variables as `$NAME`.
fn client_of(text: &str) -> Vec<String> {
    let config = translate(text).unwrap_or_else(|problems| panic!("{problems}"));
    let shown = |(name, value): (&String, &ClientValue)| match value {
        ClientValue::Plain(text) => format!("{name} = {text}"),
        ClientValue::Secret(Secret::Env(variable)) => format!("{name} = ${variable}"),
        ClientValue::Secret(_) => format!("{name} = (secret)"),
    };
    config.client.iter().map(shown).collect()
}

fn translate(text: &str) -> Result<ClientConfig, Problems> {
    let look = |path: &Path| match path.extension().and_then(|e| e.to_str()) {
        Some("pem") => Ok(StoreFormat::Pem),
        Some("p12") => Ok(StoreFormat::Pkcs12),
        Some("jks") => Ok(StoreFormat::Jks),
        _ => Err(format!("{} can't be read: gone", path.display())),
    };
    translate_config("client.properties", text.as_bytes(), &look)
}

/// Everything that is said of a file that is refused.
fn refused(text: &str) -> String {
    translate(text).expect_err(text).to_string()
}

/// The password that a file gives.
fn password_of(text: &str) -> String {
    let config = translate(text).unwrap_or_else(|problems| panic!("{problems}"));
    config.client["sasl.password"].resolve("sasl.password").expect("a password")
}

#[test]
fn what_people_paste_for_java_is_put_into_librdkafkas_words() {
    let text = r#"
# from the wiki
bootstrap.servers=b1.example:9093,b2.example:9093
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
    username="app" \
    password="s3cr=t;\\"x";
ssl.truststore.location=/etc/kafka/ca.pem
ssl.truststore.type=PEM
ssl.endpoint.identification.algorithm=
key.deserializer=org.apache.kafka.common.serialization.StringDeserializer
acks=all
specific.avro.reader=true
"#;
    let whole = [
        "sasl.mechanism = SCRAM-SHA-512",
        "sasl.password = (secret)",
        "sasl.username = app",
        "security.protocol = SASL_SSL",
        "ssl.ca.location = /etc/kafka/ca.pem",
        "ssl.endpoint.identification.algorithm = none",
    ];
    assert_eq!(client_of(text), whole);
    let config = translate(text).expect("it is taken");
    assert_eq!(config.bootstrap.as_deref(), Some("b1.example:9093,b2.example:9093"));
    let left_out: Vec<&str> = config.left_out.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(left_out, ["acks", "key.deserializer", "specific.avro.reader"]);
    assert!(config.left_out.iter().all(|(_, why)| !why.is_empty() && !why.contains("leave it out")));
    // Java's own escapes first, those of the login module then.
    assert_eq!(password_of(text), "s3cr=t;\"x");
}

#[test]
fn a_backslash_is_what_the_clients_own_file_makes_of_it() {
    let jaas = |password: &str| {
        format!("sasl.jaas.config=a.b.PlainLoginModule required username=\"u\" password={password};\n")
    };
    // java.util.Properties takes one away, and StreamTokenizer another one.
    assert_eq!(password_of(&jaas(r#""a\\\\b""#)), r"a\b");
    assert_eq!(password_of(&jaas(r#""a\\nb""#)), "a\nb");
    assert_eq!(password_of(&jaas(r#""a\u00e9b""#)), "a\u{e9}b");
    assert_eq!(password_of(&jaas("'it is \"x\"'")), "it is \"x\"");
    assert_eq!(password_of(&jaas("plain-word_1")), "plain-word_1");
    // librdkafka's files have no escapes.
    assert_eq!(password_of("sasl.username=u\nsasl.password=a\\nb\\\n"), "a\\nb\\");
}

#[test]
fn a_login_module_is_read_as_kafka_reads_it() {
    let login = jaas::parse_jaas("/* x */ a.b.C REQUIRED // y\n user=\"a b\"\n k='v' ;").expect("a module");
    assert_eq!(login.module, "a.b.C");
    let options: Vec<_> = login.options.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(options, [("k", "v"), ("user", "a b")]);
    for (text, why) in [
        ("", "names no login module"),
        ("a.b.C", "has no flag"),
        ("a.b.C maybe;", "has no flag"),
        ("a.b.C required", "semicolon"),
        ("a.b.C required user=x", "semicolon"),
        ("a.b.C required user;", "are not NAME"),
        ("a.b.C required user=\"x;", "no end"),
        ("a.b.C required user=\"\\101\";", "octal"),
        ("a.b.C required; d.e.F required;", "more than one"),
    ] {
        let said = jaas::parse_jaas(text).expect_err(text);
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn stores_of_keys_become_what_librdkafka_opens() {
    let pem = "ssl.keystore.location=/k/own.pem\nssl.key.password=hush\nssl.keystore.type=PEM\n";
    let both =
        ["ssl.certificate.location = /k/own.pem", "ssl.key.location = /k/own.pem", "ssl.key.password = (secret)"];
    assert_eq!(client_of(pem), both);
    let p12 = "ssl.keystore.location=/k/own.p12\nssl.keystore.password=hush\n";
    assert_eq!(client_of(p12), ["ssl.keystore.location = /k/own.p12", "ssl.keystore.password = (secret)"]);
    let texts = "ssl.keystore.key=K\nssl.keystore.certificate.chain=C\nssl.truststore.certificates=A\n";
    assert_eq!(client_of(texts), ["ssl.ca.pem = A", "ssl.certificate.pem = C", "ssl.key.pem = (secret)"]);
    for (text, words) in [
        (
            "ssl.truststore.location=/k/ca.p12\nssl.truststore.password=hush\n",
            "keytool -list -rfc -keystore STORE -storetype PKCS12",
        ),
        ("ssl.truststore.location=/k/ca.jks\nssl.truststore.password=hush\n", "-storetype JKS"),
        ("ssl.keystore.location=/k/own.jks\nssl.keystore.password=hush\n", "keytool -importkeystore"),
        (
            "a=b\nssl.keystore.location=/k/gone\n",
            "client.properties:2:1: `ssl.keystore.location`: /k/gone can't be read",
        ),
    ] {
        let said = refused(text);
        assert!(said.contains(words) && !said.contains("hush"), "{text}: {said}");
    }
}

#[test]
fn a_store_is_known_by_what_it_begins_with() {
    assert_eq!(recognise_store(&[0xfe, 0xed, 0xfe, 0xed, 0, 0]), Some(StoreFormat::Jks));
    assert_eq!(recognise_store(&[0xce, 0xce, 0xce, 0xce, 0]), Some(StoreFormat::Jks));
    assert_eq!(recognise_store(&[0x30, 0x82, 1, 2]), Some(StoreFormat::Pkcs12));
    assert_eq!(recognise_store(b"Subject: x\n-----BEGIN CERTIFICATE-----"), Some(StoreFormat::Pem));
    assert_eq!(recognise_store(b"what"), None);
    assert_eq!(recognise_store(b""), None);
    let said = read_store_format(Path::new("/")).expect_err("a directory");
    assert!(said.contains("can't be read"), "{said}");
}

#[test]
fn what_cannot_be_meant_or_done_is_refused_with_its_line_and_no_secret() {
    for (text, words) in [
        ("\nsecurty.protocol=SASL_SSL\n", "client.properties:2:1: `securty.protocol` is not a client property"),
        ("sasl.pasword=canary\n", "did you mean `sasl.password`?"),
        ("sasl.password=${file:/etc/canary:password}\n", "comes from a config provider (file)"),
        ("sasl.jaas.config=${vault:canary}\n", "comes from a config provider"),
        ("sasl.jaas.config=a.b.C required password=\"canary\"\n", "the semicolon at its end is missing"),
        (
            "sasl.jaas.config=a.b.ScramLoginModule required username=\"u\" password=\"canary\" tokenauth=\"true\";\n",
            "delegation token",
        ),
        ("a=b\nsasl.password=can\u{e9}ary\n", "client.properties:2:1: a character here is not ASCII"),
        ("ssl.keystore.password=canary\\uzz\n", "can't be read as properties"),
    ] {
        let said = refused(text);
        assert!(said.contains(words) && !said.contains("canary"), "{text}: {said}");
    }
    let large = "# x\n".repeat(100_000);
    assert!(refused(&large).contains("larger than"));
}

#[test]
fn a_variable_of_the_environment_stays_one() {
    assert_eq!(client_of("sasl.password=${env:KAFKA_PASSWORD}\n"), ["sasl.password = $KAFKA_PASSWORD"]);
    assert_eq!(client_of("sasl.username=${env::KAFKA_USER}\n"), ["sasl.username = $KAFKA_USER"]);
}

/// Another name of the same property, an empty value, one that stands there twice: what counts is what Java's client
/// would have taken.
#[test]
fn the_last_of_two_counts_and_nothing_is_nothing() {
    assert_eq!(client_of("client.id=a\nclient.id=b\n"), ["client.id = b"]);
    let config = translate("client.id=\nssl.truststore.location=\n").expect("it is taken");
    assert!(config.client.is_empty(), "{:?}", config.client);
    assert_eq!(config.left_out, [("client.id".to_owned(), "it is empty".to_owned())]);
    assert_eq!(client_of("ssl.ca.location=probe\n"), ["ssl.ca.location = probe"]);
}

#[test]
fn a_login_with_a_token_is_asked_for_as_java_asks() {
    let url = "sasl.oauthbearer.token.endpoint.url=https://idp.example/token\n";
    let old = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n{url}\
         sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n\
         sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \\\n\
         clientId=\"app\" clientSecret=\"s3cret\" scope=\"kafka\" ssl.truststore.location=\"/etc/idp.pem\";\n"
    );
    let whole = [
        "https.ca.location = /etc/idp.pem",
        "sasl.mechanism = OAUTHBEARER",
        "sasl.oauthbearer.client.id = app",
        "sasl.oauthbearer.client.secret = (secret)",
        "sasl.oauthbearer.method = oidc",
        "sasl.oauthbearer.scope = kafka",
        "sasl.oauthbearer.token.endpoint.url = https://idp.example/token",
        "security.protocol = SASL_SSL",
    ];
    assert_eq!(client_of(&old), whole);
    let new = client_of(&format!(
        "sasl.mechanism=OAUTHBEARER\n{url}sasl.oauthbearer.client.credentials.client.id=app\n\
         sasl.oauthbearer.client.credentials.client.secret=s3cret\n"
    ));
    assert!(new.contains(&"sasl.oauthbearer.method = oidc".to_owned()), "{new:?}");
    assert!(new.contains(&"sasl.oauthbearer.client.credentials.client.secret = (secret)".to_owned()), "{new:?}");
    let file = "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=file:///run/token\n";
    assert_eq!(client_of(file), ["sasl.mechanism = OAUTHBEARER", "sasl.oauthbearer.token.file = /run/token"]);
    for (options, words) in [
        ("clientId=\"a\" clientSecret=\"hush\" extension_logicalCluster=\"lkc-1\"", "extensions (KIP-342)"),
        ("unsecuredLoginStringClaim_sub=\"hush\"", "a token that nobody signed"),
        ("clientSecret=\"hush\" ssl.truststore.location=\"/etc/idp.jks\"", "give them as `https.ca.location`"),
    ] {
        let said = refused(&format!(
            "sasl.mechanism=OAUTHBEARER\nsasl.jaas.config=a.b.OAuthBearerLoginModule required {options};\n"
        ));
        assert!(said.contains(words) && !said.contains("hush"), "{said}");
    }
}

#[test]
fn amazons_module_becomes_what_prints_its_credentials() {
    let file = |options: &str| {
        format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=AWS_MSK_IAM\n\
             sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required{options};\n\
             sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler\n"
        )
    };
    assert_eq!(client_of(&file("")), ["sasl.mechanism = AWS_MSK_IAM", "security.protocol = SASL_SSL"]);
    let profile = client_of(&file(" awsProfileName=\"prod\""));
    assert!(
        profile[0].starts_with("sasl.aws.credentials.command = ") && profile[0].contains("\"prod\""),
        "{profile:?}"
    );
}
