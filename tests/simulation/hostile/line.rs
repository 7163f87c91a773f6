//! A line to a simulated broker on which answers are made hostile before they arrive. What the simulation takes (groups,
//! clients, commits) is hostile in its state; here is what a real broker could say and this one can't: topics whose names
//! no broker would make, bytes that are no text, racks and hosts, and the words of its refusals.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, DescribeClusterResponse, DescribeConfigsResponse, DescribeGroupsResponse,
    DescribeProducersResponse, FindCoordinatorResponse, MetadataResponse, ResponseHeader, SaslAuthenticateResponse,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::{name, text};

/// What stands for what: as many bytes for as many, so that no length changes. Asked, it is the other way round.
pub type Swaps = Vec<(Vec<u8>, Vec<u8>)>;

/// How this broker speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a broker does, on racks that are called anything.
    Polite,
    /// It refuses, at length; it knows of a broker and of a topic that nobody should name.
    Refusing,
    /// It knows no mechanism of SASL that anybody has heard of.
    NoMechanism,
    /// It believes no password.
    NoPassword,
}

/// Requests under way, by their numbers.
type Asked = Arc<Mutex<HashMap<i32, (ApiKey, i16)>>>;

/// Lays a line to a broker on loopback. Returns its port.
pub fn lay(to: u16, swaps: Swaps, manner: Manner) -> u16 {
    assert!(swaps.iter().all(|(is, said)| is.len() == said.len()), "a length would change");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let swaps = Arc::new(swaps);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) {
                join(client, broker, &swaps, manner);
            }
        }
    });
    port
}

fn join(client: TcpStream, broker: TcpStream, swaps: &Arc<Swaps>, manner: Manner) {
    let asked = Asked::default();
    let copy = |stream: &TcpStream| stream.try_clone().expect("the same connection");
    let (from_client, to_broker) = (copy(&client), copy(&broker));
    let to_client = Arc::new(Mutex::new(client));
    let there = (Arc::clone(&asked), Arc::clone(swaps), Arc::clone(&to_client));
    std::thread::spawn(move || forth(from_client, to_broker, manner, &there.0, &there.1, &there.2));
    let swaps = Arc::clone(swaps);
    std::thread::spawn(move || back(broker, manner, &asked, &swaps, &to_client));
}

/// Requests: to the broker, unless the line itself answers.
fn forth(
    mut client: TcpStream,
    mut broker: TcpStream,
    manner: Manner,
    asked: &Asked,
    swaps: &Swaps,
    to_client: &Mutex<TcpStream>,
) {
    while let Some(mut frame) = read_frame(&mut client) {
        let Some((api, version, id)) = request(&frame) else { break };
        if let Some(answer) = answered(manner, api, version, id) {
            if write_frame(&mut to_client.lock().unwrap(), &answer).is_err() {
                break;
            }
            continue;
        }
        asked.lock().unwrap().insert(id, (api, version));
        swaps.iter().for_each(|(is, said)| replace(&mut frame, said, is));
        if write_frame(&mut broker, &frame).is_err() {
            break;
        }
    }
    let _ = broker.shutdown(Shutdown::Both); // it may be closed
}

/// Answers: to the client.
fn back(mut broker: TcpStream, manner: Manner, asked: &Asked, swaps: &Swaps, to_client: &Mutex<TcpStream>) {
    while let Some(mut frame) = read_frame(&mut broker) {
        let id = frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id));
        let of = id.and_then(|id| asked.lock().unwrap().remove(&id));
        swaps.iter().for_each(|(is, said)| replace(&mut frame, is, said));
        let frame = of.map_or(frame.clone(), |(api, version)| spoken(manner, api, version, frame));
        if write_frame(&mut to_client.lock().unwrap(), &frame).is_err() {
            break;
        }
    }
    let _ = to_client.lock().unwrap().shutdown(Shutdown::Both); // it may be closed
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).ok()?];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

fn write_frame(stream: &mut TcpStream, frame: &[u8]) -> std::io::Result<()> {
    let length = i32::try_from(frame.len()).expect("a frame of that size").to_be_bytes();
    stream.write_all(&[&length[..], frame].concat())
}

/// What is asked, in which version, and under which number.
fn request(frame: &[u8]) -> Option<(ApiKey, i16, i32)> {
    let head = frame.first_chunk::<8>()?;
    let api = ApiKey::try_from(i16::from_be_bytes([head[0], head[1]])).ok()?;
    let id = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    Some((api, i16::from_be_bytes([head[2], head[3]]), id))
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + from.len()].copy_from_slice(to);
            at += from.len();
        } else {
            at += 1;
        }
    }
}

fn said(tag: &str) -> Option<StrBytes> {
    Some(words(tag))
}

fn words(tag: &str) -> StrBytes {
    StrBytes::from_string(text(tag))
}

/// What the line says without asking the broker: whoever wants in has to prove who it is.
fn answered(manner: Manner, api: ApiKey, version: i16, id: i32) -> Option<Vec<u8>> {
    let header = ResponseHeader::default().with_correlation_id(id);
    let no_mechanism = manner == Manner::NoMechanism;
    match (manner, api) {
        (Manner::NoMechanism | Manner::NoPassword, ApiKey::SaslHandshake) => {
            let error = if no_mechanism { ResponseError::UnsupportedSaslMechanism.code() } else { 0 };
            let mechanisms = vec![words("q50"), words("q51")];
            let answer = SaslHandshakeResponse::default().with_error_code(error).with_mechanisms(mechanisms);
            Some(encoded(&header, &answer, version))
        }
        (Manner::NoPassword, ApiKey::SaslAuthenticate) => {
            let error = ResponseError::SaslAuthenticationFailed.code();
            let answer = SaslAuthenticateResponse::default().with_error_code(error).with_error_message(said("q52"));
            Some(encoded(&header, &answer, version))
        }
        _ => None,
    }
}

/// An answer as this manner has it.
fn spoken(manner: Manner, api: ApiKey, version: i16, frame: Vec<u8>) -> Vec<u8> {
    let denied = ResponseError::GroupAuthorizationFailed.code();
    match (manner, api) {
        (Manner::Polite, ApiKey::Metadata) if version >= 1 => {
            changed(version, frame, |answer: &mut MetadataResponse| {
                answer.brokers.iter_mut().for_each(|b| b.rack = said("q40"));
            })
        }
        (Manner::Refusing, ApiKey::Metadata) if version >= 1 => {
            changed(version, frame, |answer: &mut MetadataResponse| {
                let nowhere =
                    MetadataResponseBroker::default().with_node_id(77.into()).with_host(words("q41")).with_port(9);
                answer.brokers.push(nowhere);
                if !answer.topics.is_empty() {
                    let hidden = ResponseError::TopicAuthorizationFailed.code();
                    let name = StrBytes::from_string(name("q42"));
                    let topic = MetadataResponseTopic::default().with_error_code(hidden).with_name(Some(name.into()));
                    answer.topics.push(topic);
                }
            })
        }
        (Manner::Refusing, ApiKey::FindCoordinator) => {
            changed(version, frame, |answer: &mut FindCoordinatorResponse| {
                if version >= 4 {
                    for c in &mut answer.coordinators {
                        (c.error_code, c.error_message) = (denied, said("q43"));
                    }
                } else {
                    answer.error_code = denied;
                    answer.error_message = said("q43").filter(|_| version >= 1);
                }
            })
        }
        (Manner::Refusing, ApiKey::DescribeGroups) if version >= 6 => {
            changed(version, frame, |answer: &mut DescribeGroupsResponse| {
                for g in &mut answer.groups {
                    (g.error_code, g.error_message) = (denied, said("q44"));
                }
            })
        }
        (Manner::Refusing, ApiKey::DescribeCluster) => {
            changed(version, frame, |answer: &mut DescribeClusterResponse| {
                answer.error_code = ResponseError::ClusterAuthorizationFailed.code();
                answer.error_message = said("q45");
            })
        }
        (Manner::Refusing, ApiKey::DescribeConfigs) => {
            changed(version, frame, |answer: &mut DescribeConfigsResponse| {
                for r in &mut answer.results {
                    (r.error_code, r.error_message) = (ResponseError::TopicAuthorizationFailed.code(), said("q46"));
                    r.configs.clear();
                }
            })
        }
        (Manner::Refusing, ApiKey::DescribeProducers) => {
            changed(version, frame, |answer: &mut DescribeProducersResponse| {
                for p in answer.topics.iter_mut().flat_map(|t| &mut t.partitions) {
                    (p.error_code, p.error_message) = (ResponseError::TopicAuthorizationFailed.code(), said("q47"));
                    p.active_producers.clear();
                }
            })
        }
        (Manner::NoMechanism | Manner::NoPassword, ApiKey::ApiVersions) => {
            changed(version, frame, |answer: &mut ApiVersionsResponse| {
                for (api, newest) in [(ApiKey::SaslHandshake, 1), (ApiKey::SaslAuthenticate, 2)] {
                    let offered = ApiVersion::default().with_api_key(api as i16).with_max_version(newest);
                    answer.api_keys.push(offered);
                }
            })
        }
        _ => frame,
    }
}

/// An answer decoded, changed, and put together again.
fn changed<A>(version: i16, frame: Vec<u8>, change: impl FnOnce(&mut A)) -> Vec<u8>
where
    A: Decodable + Encodable + HeaderVersion,
{
    let mut bytes = Bytes::from(frame);
    let header = ResponseHeader::decode(&mut bytes, A::header_version(version)).expect("a header");
    let mut answer = A::decode(&mut bytes, version).expect("an answer");
    change(&mut answer);
    encoded(&header, &answer, version)
}

fn encoded<A: Encodable + HeaderVersion>(header: &ResponseHeader, answer: &A, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    header.encode(&mut bytes, A::header_version(version)).expect("a header");
    answer.encode(&mut bytes, version).expect("an answer");
    bytes.to_vec()
}
