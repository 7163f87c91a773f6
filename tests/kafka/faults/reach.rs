//! Addresses at which there is no Kafka, and plans that can't be read.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::{Desk, SOON, at, plan_of, says, show};
use crate::support::kafka::{pair, take_port};
use crate::support::pty::{self, Exit};

/// A port that takes every connection, reads, and says `answer` once.
fn listener(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut some = [0; 512];
                if stream.read(&mut some).is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(answer);
                    while stream.read(&mut some).is_ok_and(|n| n > 0) {}
                }
            });
        }
    });
    address
}

/// Blue is somewhere else than the plan says; green lives, and the screen says both.
fn wrong_address(what: &str, address: &str, client: &str, words: &[&str]) {
    let green = &pair().green;
    let desk = Desk::new(&plan_of(&format!("{}\n{client}", at(address)), &at(&green.bootstrap), ""));
    let terminal = desk.cockpit();
    terminal.wait_for(SOON, |s| says(s, &[&[&format!("BLUE broker {address}"), "brokers 1/1"], words].concat()));
    terminal.send("?");
    terminal.wait_for(SOON, |s| says(s, &["Keys"]));
    terminal.send(pty::key::ESC);
    terminal.wait_for(SOON, |s| says(s, &["never seen: see above", "q quit"]));
    show(what, &terminal);
    assert!(!terminal.screen_text().contains("on either cluster"), "blue was not seen: nobody knows what is on it");
    terminal.send("q");
    assert_eq!(terminal.wait_exit(SOON), Some(Exit::Code(0)));
}

#[test]
fn nobody_listens() {
    let port = take_port();
    let address = format!("127.0.0.1:{}", port.number);
    let words = ["refused the connection. Check the port, and that the broker runs and listens on this address"];
    wrong_address("nobody listens", &address, "", &words);

    // The verbs wait for the failure, and show the other side all the same.
    let desk = Desk::new(&plan_of(&at(&address), &at(&pair().green.bootstrap), ""));
    let (code, status) = desk.json(&["status"]);
    let (code_lag, lag) = desk.json(&["lag"]);
    assert_eq!((code, code_lag), (Some(4), Some(4)));
    for seen in [&status, &lag] {
        let trouble = &seen["clusters"]["blue"]["troubles"][0];
        assert!(trouble["what"].as_str().is_some_and(|w| w.contains("refused the connection")), "{seen:#}");
        assert_eq!(seen["clusters"]["green"]["brokers"], 1, "{seen:#}");
    }
}

#[test]
fn a_port_that_says_nothing() {
    let client = "client = { \"socket.connection.setup.timeout.ms\" = 1500 }";
    let words = ["connecting took longer than 1500 ms. The port accepts connections but does not answer as a Kafka"];
    wrong_address("a silent port", &listener(b""), client, &words);
}

#[test]
fn a_web_server() {
    let words = ["answers in HTTP: this is not a Kafka port. Check the port"];
    wrong_address("a web server", &listener(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "", &words);
}

#[test]
fn a_name_that_does_not_resolve() {
    let words = ["the host name does not resolve", "Check the spelling and this machine's DNS"];
    wrong_address("no such host", "kafka-blue.invalid:9092", "", &words);
}

/// Without a plan there is no screen: said on the plain terminal, with the place, and nothing of it is drawn over.
#[test]
fn a_plan_that_cant_be_read() {
    let desk =
        Desk::new("[migration]\nnme = \"x\"\n[clusters.blue]\nbootstrap = \"a:1\"\n[clusters.green]\nbootstrap = 5\n");
    let write = |name: &str, bytes: &[u8]| std::fs::write(desk.path().join(name), bytes).expect("written");
    write("bytes.toml", b"[migration]\nname = \"\xff\"\n");
    write("locked.toml", b"");
    let locked = std::fs::Permissions::from_mode(0o0);
    std::fs::set_permissions(desk.path().join("locked.toml"), locked).expect("no rights");
    let root = std::fs::read(desk.path().join("locked.toml")).is_ok();
    std::fs::create_dir(desk.path().join("dir.toml")).expect("a directory");
    let mut cases: Vec<(&str, &[&str])> = vec![
        ("none.toml", &["none.toml: no such file", "cutover init"]),
        ("dir.toml", &["dir.toml: is a directory", "name the plan file in it"]),
        ("bytes.toml", &["bytes.toml:2:9: not UTF-8 text", "save the file as UTF-8"]),
        ("cutover.toml", &["cutover.toml:2:1: unknown key \"nme\"", "did you mean \"name\"?", "cutover.toml:6:13:"]),
    ];
    if !root {
        cases.push(("locked.toml", &["locked.toml: can't be read", "let this user read it"]));
    }
    for (name, words) in cases {
        let terminal = pty::cutover(&["--plan", name], &[], desk.path(), (80, 24));
        assert_eq!(terminal.wait_exit(SOON), Some(Exit::Code(2)), "{}", terminal.screen_text());
        terminal.wait_for(SOON, |s| says(s, words));
        show(&format!("--plan {name}"), &terminal);
        assert!(!terminal.raw().contains('\u{1b}'), "the screen was touched: {:?}", terminal.raw());

        let (code, json) = desk.json(&["status", "--plan", name]);
        assert_eq!(code, Some(2));
        let message = json["errors"][0]["message"].as_str().expect("a message");
        assert!(words[0].contains(message) || message.starts_with("unknown key") || message.starts_with("not UTF-8"));
    }
}
