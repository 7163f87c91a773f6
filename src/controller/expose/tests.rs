use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::controller::present;
use crate::plan::Plan;
use crate::session::options::{Options, Want};

/// Whatever is waited for comes much sooner; a machine may be slow.
const SOON: Duration = Duration::from_secs(120);

fn snapshot(at: At, arming: Arming) -> Arc<Snapshot> {
    let plan = Plan::from_bootstraps("b:1", "g:1").unwrap().plan;
    let mut s = present::skeleton(&plan, &Options::new(Want::Armed, "ada@bastion"), at);
    (s.seq, s.header.arming) = (1, arming);
    Arc::new(s)
}

const PAGE: Exposition =
    Exposition { content_type: "text/plain; version=0.0.4", text: |s, _| format!("seq {}\n", s.seq) };

async fn served(s: Arc<Snapshot>) -> (SocketAddr, watch::Sender<Arc<Snapshot>>, JoinHandle<()>) {
    let listening = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let address = listening.address();
    let (tx, rx) = watch::channel(s);
    let serving = listening.serve(rx, PAGE);
    (address, tx, serving)
}

/// What is answered to these bytes, until the server ends the connection.
async fn say(address: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await; // a reset after the answer is an end too
        String::from_utf8(answer).unwrap()
    };
    tokio::time::timeout(SOON, exchange).await.expect("an answer")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_is_there_and_nothing_else() {
    let (address, tx, _serving) = served(snapshot(Clock.now(), Arming::Armed)).await;
    let answer = say(address, &get("/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nseq 1\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    let head = say(address, "HEAD /metrics?x=y HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 6") && !head.contains("seq"), "{head}");
    let post = say(address, "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi").await;
    assert!(post.starts_with("HTTP/1.1 405") && post.contains("allow: GET, HEAD"), "{post}");
    assert!(say(address, &get("/../etc/passwd")).await.starts_with("HTTP/1.1 404"));
    assert!(say(address, &get("/")).await.contains("the controller of cutover"));
    assert!(say(address, "SSH-2.0-x\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    let long = say(address, &get(&format!("/{}", "a".repeat(2 * HEAD)))).await;
    assert!(long.starts_with("HTTP/1.1 4"), "{long}");
    // it is well while its picture is young
    tx.send_replace(snapshot(Clock.now(), Arming::Armed));
    assert!(say(address, &get("/healthz")).await.starts_with("HTTP/1.1 200"));
    tx.send_replace(snapshot(At(Clock.now().0 - 60_000), Arming::Armed));
    let ill = say(address, &get("/healthz")).await;
    assert!(ill.starts_with("HTTP/1.1 503") && ill.contains("1m0"), "{ill}");
    // the journal can't be written any more: just then somebody has to look
    tx.send_replace(snapshot(Clock.now(), Arming::ReadOnly { why: "disk full".into() }));
    assert!(say(address, &get("/metrics")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_connections_open_keeps_nobody_out() {
    let (address, _tx, _serving) = served(snapshot(Clock.now(), Arming::Armed)).await;
    let mut silent = Vec::new();
    for _ in 0..3 * CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").await.unwrap();
        silent.push(stream);
    }
    let answer = say(address, &get("/metrics")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // and each of them is let go in the end, without having said anything
    for mut stream in silent {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a silent connection is let go");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_for_the_holder_of_the_journal_and_as_long_as_that_runs() {
    let (address, tx, serving) = served(snapshot(Clock.now(), Arming::Armed)).await;
    let taken = listen(address).await.unwrap_err();
    assert!(taken.what.contains("another program has that port") && taken.advice.contains("ss -ltnp"), "{taken:?}");
    drop(tx);
    ended(serving).await;
    let looks = Arming::ReadOnly { why: "held by ben".into() };
    let (_, _tx, serving) = served(snapshot(Clock.now(), looks)).await;
    ended(serving).await;
}

/// Waits until it has let its address go.
async fn ended(serving: JoinHandle<()>) {
    tokio::time::timeout(SOON, serving).await.expect("it ends").expect("in order");
}
