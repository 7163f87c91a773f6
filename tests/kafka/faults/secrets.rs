//! TLS and SASL that don't fit, and secrets that can't be read: that side says so, the other one lives.

use super::{Desk, SOON, at, plan_of, says, show};
use crate::control_secure::secure;
use crate::support::kafka::pair;

/// Blue with these client properties; what its message says, and green alive.
fn blue_says(what: &str, bootstrap: &str, client: &str, words: &[&str]) {
    let green = &pair().green;
    let blue = format!("{}\nclient = {{ {client} }}", at(bootstrap));
    let desk = Desk::new(&plan_of(&blue, &at(&green.bootstrap), ""));
    let terminal = desk.cockpit();
    terminal.wait_for(SOON, |s| says(s, &[&["brokers 1/1", "never seen: see above"], words].concat()));
    show(what, &terminal);
    assert!(!terminal.raw().contains("app-secret"), "a secret on the screen");
}

const SASL: &str = "\"security.protocol\" = \"SASL_SSL\", \"sasl.mechanism\" = \"PLAIN\", \"sasl.username\" = \"app\"";

#[test]
fn tls_to_a_plaintext_port() {
    let client = "\"security.protocol\" = \"SSL\"";
    let words = ["TLS failed", "set `security.protocol` to PLAINTEXT"];
    blue_says("TLS to a plaintext port", &pair().blue.bootstrap, client, &words);
}

#[test]
fn a_certificate_of_a_ca_that_is_not_trusted() {
    let s = secure();
    let ca = s.other_ca.display();
    let client = format!("{SASL}, \"sasl.password\" = {{ env = \"PATH\" }}, \"ssl.ca.location\" = \"{ca}\"");
    let words = ["the certificate is not signed by a CA that is trusted here", "Set `ssl.ca.location` to the PEM file"];
    blue_says("another CA", &format!("127.0.0.1:{}", s.sasl_ssl), &client, &words);
}

#[test]
fn a_wrong_password() {
    let s = secure();
    let ca = s.ca.display();
    let client = format!("{SASL}, \"sasl.password\" = {{ env = \"PATH\" }}, \"ssl.ca.location\" = \"{ca}\"");
    let words = ["SASL_AUTHENTICATION_FAILED", "Check `sasl.username` and `sasl.password`"];
    blue_says("a wrong password", &format!("127.0.0.1:{}", s.sasl_ssl), &client, &words);
}

#[test]
fn secrets_that_cant_be_read() {
    let blue = &pair().blue.bootstrap;
    let env = format!("{SASL}, \"sasl.password\" = {{ env = \"CUTOVER_NO_SUCH\" }}");
    let words = ["sasl.password: the environment variable CUTOVER_NO_SUCH is not set. Export CUTOVER_NO_SUCH"];
    blue_says("a secret of the environment", blue, &env, &words);
    let file = format!("{SASL}, \"sasl.password\" = {{ file = \"secrets/blue\" }}");
    let words =
        ["can't read the secret file", "secrets/blue", "Check that the file exists and that this user may read it"];
    blue_says("a secret in a file", blue, &file, &words);
}
