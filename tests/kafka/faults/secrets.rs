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

/// A secret for each place of a plan that takes one; a different one each, so that a leak names its source.
const KEYS: [&str; 10] = ["SASL", "KEYPASS", "JAAS", "TYPO", "REGISTRY", "PROM", "NEWRELIC", "HOOK", "HEADER", "VALUE"];

/// With a blank, a quote, a slash and an ampersand: JSON, a shell, HTML and a URL write those in their own ways.
fn canary(key: &str) -> String {
    format!("c4n4ry {key}/\"&9f3e-tail")
}

/// What of a canary must stand nowhere: its ends, whole or in base64, with either alignment.
fn traces(key: &str) -> Vec<String> {
    let coded = |text: &str| openssl::base64::encode_block(text.as_bytes());
    let core = |before: &str| coded(&format!("{before}c4n4ry {key}/"))[8..16].to_owned();
    vec![
        format!("c4n4ry {key}"),
        format!("c4n4ry%20{key}"),
        format!("c4n4ry+{key}"),
        "9f3e-tail".into(),
        core(""),
        core("a"),
    ]
}

/// A server that answers every request with 400 and the request itself.
fn echo() -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).expect("a bound");
                let (mut request, mut piece) = (Vec::new(), [0; 4096]);
                while let Ok(n @ 1..) = stream.read(&mut piece) {
                    request.extend_from_slice(&piece[..n]);
                }
                // shown are the first characters only: what is secret first
                let text = String::from_utf8_lossy(&request).into_owned();
                let lines = text.lines().filter(|l| l.contains("c4n4ry") || l.to_ascii_lowercase().contains("auth"));
                let mut body: Vec<String> = lines.map(str::to_owned).collect();
                body.push(text.clone());
                let body = body.join("\n");
                let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()); // whoever asked may have gone
            });
        }
    });
    address
}

/// Everything that a plan may hold besides a cluster's clients, each with its canary, each failing loudly.
fn loud(topic: &str, server: std::net::SocketAddr) -> String {
    let command = |key: &str, more: &str| {
        format!("[\"sh\", \"-c\", \"printenv CANARY_{key} CANARY_PROM >&2; exit 7\", \"sh\"{more}]")
    };
    format!(
        "[defaults]\nstale_after = \"15s\"\n\
         [metrics.prom]\nprovider = \"prometheus\"\nurl = \"http://{server}\"\nusername = \"u\"\n\
         password = {{ env = \"CANARY_PROM\" }}\nqueries = {{ error_rate = 'x{{g=\"{{group}}\"}}' }}\n\
         [metrics.nr]\nprovider = \"newrelic\"\naccount = 1\nurl = \"http://{server}\"\n\
         key = {{ file = \"newrelic\" }}\nqueries = {{ p99 = \"SELECT 1 FROM x WHERE g = '{{group}}'\" }}\n\
         [notify.hook]\nkind = \"webhook\"\nurl = {{ env = \"CANARY_URL\" }}\non = [\"run\", \"alarm\"]\n\
         headers = {{ authorization = {{ env = \"CANARY_HEADER\" }} }}\nvalues = {{ routing = {{ env = \"CANARY_VALUE\" }} }}\n\
         template = '{{\"k\": \"{{routing}}\", \"w\": \"{{what}}\"}}'\n\
         [[producers]]\nname = \"p\"\ntopics = [{topic:?}]\n\
         flag = {{ provider = \"file\", path = \"flags.json\", key = \"p\" }}\n\
         [[groups]]\nname = \"canary-g\"\ntopics = [{topic:?}]\n\
         switch = {{ provider = \"command\", get = {}, set = {} }}\n",
        command("REGISTRY", ""),
        command("HEADER", ", \"{state}\"")
    )
}

/// Whatever fails and however loudly, no secret of the plan stands in what is printed, logged, journalled or sent.
#[test]
fn no_canary_comes_out_of_anything_that_fails() {
    let (s, green, server) = (secure(), &pair().green.bootstrap, echo());
    let topic = crate::support::unique("canary");
    let ca = s.ca.display();
    let sasl_at = format!("127.0.0.1:{}", s.sasl_ssl);
    let whole = format!("{SASL}, \"sasl.password\" = {{ env = \"CANARY_SASL\" }}");
    let dead = "127.0.0.1:9";
    // what is wrong, blue's address, its client properties, and the exit codes there may be
    let faults = [
        ("a Java name", dead, "\"sasl.jaas.config\" = { env = \"CANARY_JAAS\" }".to_owned()),
        ("a misspelt name", dead, "\"sasl.pasword\" = { env = \"CANARY_TYPO\" }".to_owned()),
        ("a misspelt name in the plan", dead, format!("\"sasl.pasword\" = {:?}", canary("TYPO"))),
        ("a wrong value", dead, format!("{whole}, \"socket.timeout.ms\" = \"5s\"")),
        ("a wrong password", &sasl_at, format!("{whole}, \"ssl.ca.location\" = \"{ca}\"")),
        ("TLS to a plaintext port", &pair().blue.bootstrap, whole.clone()),
        (
            "a key that no password opens",
            &sasl_at,
            format!(
                "\"security.protocol\" = \"SSL\", \"ssl.ca.location\" = \"{ca}\", \"ssl.certificate.location\" = \"{ca}\", \
             \"ssl.key.pem\" = {{ file = \"key.pem\" }}, \"ssl.key.password\" = {{ env = \"CANARY_KEYPASS\" }}"
            ),
        ),
        ("nobody there", dead, whole.clone()),
    ];
    let all_verbs: [&[&str]; 11] = [
        &["plan", "check"],
        &["doctor"],
        &["doctor", "--notify"],
        &["lag"],
        &["status"],
        &["diff", "--group", "canary-g"],
        &["offsets", "plan", "--group", "canary-g"],
        &["offsets", "apply", "--group", "canary-g", "--yes=canary-g"],
        &["group", "cutover", "canary-g", "--yes=canary-g"],
        &["replay", "--group", "canary-g"],
        &["journal", "show"],
    ];
    let mut texts = 0;
    for (what, blue, client) in &faults {
        // Only what can pass is waited for: of a broker that is not there only what does not wait is asked.
        let verbs = if *what == "nobody there" { &all_verbs[..6] } else { &all_verbs[..] };
        let registry =
            "registry = { url = \"https://registry\", username = \"u\", password = { env = \"CANARY_REGISTRY\" } }";
        let blue = format!("{}\nclient = {{ {client} }}", at(blue));
        let plan = plan_of(&blue, &format!("{}\n{registry}", at(green)), &loud(&topic, server));
        let desk = Desk::new(&plan);
        let file = |name: &str, text: &str| std::fs::write(desk.path().join(name), text).expect("a file");
        file("newrelic", &canary("NEWRELIC"));
        file("key.pem", &format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", canary("KEYPASS")));
        file("flags.json", &format!("{{ \"flags\": {{ \"p\": {:?} ", canary("PROM")));
        let url = format!("http://{server}/hook/{}", canary("HOOK").replace(' ', "%20").replace(['"', '&'], "%22"));
        for verb in verbs {
            for json in [false, true] {
                let started = std::time::Instant::now();
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
                command.args(*verb).args(json.then_some("--json")).args(["--log", "log"]).current_dir(desk.path());
                command.env("RUST_LOG", "debug").env("CANARY_URL", &url).stdin(std::process::Stdio::null());
                for key in KEYS {
                    command.env(format!("CANARY_{key}"), canary(key));
                }
                let ran = command.output().expect("the binary runs");
                let said = [&ran.stdout[..], &ran.stderr[..]].concat();
                without_canaries(&format!("{what}: {verb:?} json={json}"), &said);
                // A password does not become right while one waits: the verb ends, well before its patience does.
                if *what != "nobody there" {
                    assert!(
                        started.elapsed().as_secs() < 45,
                        "{what}: {verb:?} waited: {}",
                        String::from_utf8_lossy(&said)
                    );
                }
                // A plan that is refused as a whole tries nothing: only these are to be.
                let refused = ["a Java name", "a misspelt name", "a misspelt name in the plan", "a wrong value"];
                assert_eq!(
                    ran.status.code() == Some(2),
                    refused.contains(what),
                    "{what}: {verb:?}: {}",
                    String::from_utf8_lossy(&said)
                );
                texts += 1;
            }
        }
        for file in files_below(desk.path()) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !["cutover.toml", "newrelic", "key.pem", "flags.json"].contains(&name.as_str()) {
                without_canaries(&format!("{what}: {name}"), &std::fs::read(&file).expect("a readable file"));
                texts += 1;
            }
        }
    }
    assert!(texts > 150, "{texts} texts were looked at");
}

fn without_canaries(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for trace in KEYS.iter().flat_map(|key| traces(key)) {
        assert!(!text.contains(&trace), "{what} holds {trace:?}:\n{text}");
    }
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
