//! The token of Amazon MSK's IAM access control: a request to connect, signed into its URL and not sent (Signature Version
//! 4 in a query, <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>), as AWS' signers for clients without
//! Java make it (`aws-msk-iam-sasl-signer-*`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use serde::Deserialize;

use super::origin::{ObtainedToken, asking, run_of};
use crate::base::{At, Trouble, redact};
use crate::net::form::percent_encode;
use crate::plan::properties::bearer::{AWS_COMMAND, AWS_REGION, TokenCommand};

/// How long such a token holds, s: what AWS' signers ask for, and the most that MSK takes.
const HOLDS_S: u64 = 900;
/// What is asked for, and of which service.
const ACTION: &str = "kafka-cluster:Connect";
const SERVICE: &str = "kafka-cluster";

/// Who signs, and for which region.
pub(super) struct MskSigner {
    region: Option<String>,
    /// What prints credentials; `None`: they are in AWS' variables.
    command: Option<TokenCommand>,
}

/// Credentials, as `aws configure export-credentials --format process` prints them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AwsCredentials {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    session_token: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    expiration: Option<jiff::Timestamp>,
}

impl MskSigner {
    /// The region that is set, else the one in the cluster's name, else that of AWS' tools.
    pub fn from_properties<'a>(find: impl Fn(&str) -> Option<&'a str>, bootstrap: &str) -> MskSigner {
        let set = || find(AWS_REGION).map(str::to_owned);
        let usual = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(variable);
        let region = set().or_else(|| region_in_name(bootstrap)).or_else(usual);
        MskSigner { region, command: find(AWS_COMMAND).and_then(TokenCommand::parse) }
    }

    pub fn describe(&self) -> String {
        format!("AWS_MSK_IAM in {}", self.region.as_deref().unwrap_or("an unknown region"))
    }

    pub async fn sign(&self, now: At, limit: Duration) -> Result<ObtainedToken, Trouble> {
        let Some(region) = self.region.as_deref().filter(|r| is_region(r)) else {
            let what = "AWS_MSK_IAM: which region the cluster is in is not said, and its address does not tell";
            return Err(Trouble::new(what, format!("set `{AWS_REGION}`, e.g. \"eu-central-1\"")).mark_lasting());
        };
        let credentials = self.find_credentials(limit).await?;
        let host = format!("kafka.{region}.amazonaws.com");
        let request = SignedRequest { host: &host, path: "/", own: &[("Action", ACTION)], payload: &hex(&sha256(b"")) };
        let broken = |_| Trouble::new("OpenSSL can't sign", "this is a fault of cutover");
        let query = request.sign_query(&credentials, (region, SERVICE), now, HOLDS_S).map_err(broken)?;
        // Not signed: who asked, for AWS' own log.
        let url = format!("https://{host}/?{query}&User-Agent=cutover%2F{}", env!("CARGO_PKG_VERSION"));
        // A token of credentials that end sooner ends with them.
        let expires = credentials.expiration.map(|at| At(at.as_millisecond()));
        Ok(ObtainedToken { value: URL_SAFE_NO_PAD.encode(url), expires_in_s: Some(HOLDS_S), expires })
    }

    async fn find_credentials(&self, limit: Duration) -> Result<AwsCredentials, Trouble> {
        let credentials = match &self.command {
            Some(command) => {
                let run = run_of(command, limit);
                let printed = run.capture_output().await.map_err(|failed| asking(&failed.why))?;
                // Not in its own words: they may repeat a secret.
                serde_json::from_slice(&printed).map_err(|_| {
                    Trouble::new(
                        format!("asking for a token: {} printed no AWS credentials", run.visible_command()),
                        "let it print what `aws configure export-credentials --format process` prints",
                    )
                    .mark_lasting()
                })?
            }
            None => credentials_of(variable)?,
        };
        redact::learn_secret(&credentials.secret_access_key);
        credentials.session_token.iter().for_each(|token| redact::learn_secret(token));
        Ok(credentials)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables that all of AWS' tools read.
fn credentials_of(variable: impl Fn(&str) -> Option<String>) -> Result<AwsCredentials, Trouble> {
    let need = |name: &str| {
        variable(name).ok_or_else(|| {
            let advice = format!(
                "export it (`eval \"$(aws configure export-credentials --format env)\"`), or name what prints credentials: \
                 \"{AWS_COMMAND}\" = [\"aws\", \"configure\", \"export-credentials\", \"--format\", \"process\"]"
            );
            Trouble::new(format!("AWS_MSK_IAM: the environment variable {name} is not set"), advice).mark_lasting()
        })
    };
    Ok(AwsCredentials {
        access_key_id: need("AWS_ACCESS_KEY_ID")?,
        secret_access_key: need("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN"),
        expiration: None,
    })
}

/// The region in the name of an MSK broker: `b-1.demo.a1b2c3.c2.kafka.eu-central-1.amazonaws.com:9098`.
fn region_in_name(bootstrap: &str) -> Option<String> {
    let host = bootstrap.split(',').next()?.trim().rsplit_once(':').map_or(bootstrap, |(host, _)| host);
    let (_, behind) = host.split_once(".kafka.").or_else(|| host.split_once(".kafka-serverless."))?;
    let (region, domain) = behind.split_once('.')?;
    (domain.starts_with("amazonaws.com") && is_region(region)).then(|| region.to_owned())
}

/// It becomes a part of a host's name.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A GET that is signed into its own query.
struct SignedRequest<'a> {
    host: &'a str,
    path: &'a str,
    /// Parameters besides those of the signature.
    own: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body, or the word that stands for it.
    payload: &'a str,
}

impl SignedRequest<'_> {
    /// The whole query, its signature last.
    fn sign_query(
        &self,
        credentials: &AwsCredentials,
        (region, service): (&str, &str),
        now: At,
        holds_s: u64,
    ) -> Result<String, openssl::error::ErrorStack> {
        let stamp = format_stamp(now);
        let day = stamp.get(..8).unwrap_or_default();
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let (id, holds) = (format!("{}/{scope}", credentials.access_key_id), holds_s.to_string());
        let mut pairs = self.own.to_vec();
        pairs.extend([
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", id.as_str()),
            ("X-Amz-Date", stamp.as_str()),
            ("X-Amz-Expires", holds.as_str()),
            ("X-Amz-SignedHeaders", "host"),
        ]);
        pairs.extend(credentials.session_token.as_deref().map(|token| ("X-Amz-Security-Token", token)));
        pairs.sort_unstable();
        let query = crate::net::form::encode_form(&pairs);
        let canonical = format!(
            "GET\n{}\n{query}\nhost:{}\n\nhost\n{}",
            self.path.split('/').map(percent_encode).collect::<Vec<_>>().join("/"),
            self.host,
            self.payload
        );
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
        let key = signing_key(&credentials.secret_access_key, day, region, service)?;
        Ok(format!("{query}&X-Amz-Signature={}", hex(&hmac(&key, &to_sign)?)))
    }
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, region, service, "aws4_request"] {
        key = hmac(&key, part)?;
    }
    Ok(key)
}

fn hmac(key: &[u8], text: &str) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let key = PKey::hmac(key)?;
    Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20130524T000000Z`.
fn format_stamp(now: At) -> String {
    let at = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(id: &str, secret: &str, session: Option<&str>) -> AwsCredentials {
        let text = |text: &str| text.to_owned();
        AwsCredentials {
            access_key_id: text(id),
            secret_access_key: text(secret),
            session_token: session.map(text),
            expiration: None,
        }
    }

    fn at(stamp: &str) -> At {
        At(stamp.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    /// "Deriving a signing key", in AWS' own documentation of Signature Version 4.
    #[test]
    fn the_key_is_the_published_one() {
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam").unwrap();
        assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    /// The example of a presigned URL in AWS' documentation ("Authenticating Requests: Using Query Parameters").
    #[test]
    fn a_signed_query_is_the_published_one() {
        let who = credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None);
        let request = SignedRequest {
            host: "examplebucket.s3.amazonaws.com",
            path: "/test.txt",
            own: &[],
            payload: "UNSIGNED-PAYLOAD",
        };
        let query = request.sign_query(&who, ("us-east-1", "s3"), at("2013-05-24T00:00:00Z"), 86_400).unwrap();
        assert_eq!(
            query,
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F\
             aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
             aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    /// The form of what AWS' signers make: base64url without padding of a signed URL of `kafka.REGION.amazonaws.com`.
    #[tokio::test]
    async fn a_token_has_the_form_that_awss_signers_give_it() {
        let printed = r#"{"Version":1,"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"c4nary/of+aws","SessionToken":"se/ss=","Expiration":"2026-11-30T12:05:00Z"}"#;
        let command = TokenCommand { argv: vec!["printf".into(), "%s".into(), printed.into()], dir: "".into() };
        let signer = MskSigner { region: Some("eu-central-1".into()), command: Some(command) };
        let token = signer.sign(at("2026-11-30T12:00:00Z"), Duration::from_secs(20)).await.unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(&token.value).unwrap()).unwrap();
        let (head, signature) = url.split_once("&X-Amz-Signature=").unwrap();
        assert_eq!(
            head,
            "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Algorithm=AWS4-HMAC-SHA256&\
             X-Amz-Credential=AKIDEXAMPLE%2F20261130%2Feu-central-1%2Fkafka-cluster%2Faws4_request&\
             X-Amz-Date=20261130T120000Z&X-Amz-Expires=900&X-Amz-Security-Token=se%2Fss%3D&X-Amz-SignedHeaders=host"
        );
        let (signature, agent) = signature.split_once('&').unwrap();
        // as another implementation of the same documentation signs it
        assert_eq!(signature, "9ee4d83713dfe92f231c3db83558ef26c8b5f3df068da5a9ac594f4c0c62952f");
        assert!(agent.starts_with("User-Agent=cutover%2F"), "{agent}");
        assert_eq!((token.expires_in_s, token.expires), (Some(900), Some(at("2026-11-30T12:05:00Z"))));
        assert_eq!(redact::hide_secrets("c4nary/of+aws"), "(hidden)");
        let silent = MskSigner {
            region: signer.region,
            command: Some(TokenCommand { argv: vec!["echo".into(), "c4nary-printed".into()], dir: "".into() }),
        };
        let why = silent.sign(At(0), Duration::from_secs(20)).await.unwrap_err();
        assert!(
            why.what.ends_with("printed no AWS credentials") && why.advice.contains("export-credentials"),
            "{why:?}"
        );
    }

    #[test]
    fn the_region_is_in_the_name_of_a_broker() {
        for (bootstrap, region) in [
            ("b-1.demo.a1b2c3.c2.kafka.eu-central-1.amazonaws.com:9098,b-2.x:9098", Some("eu-central-1")),
            ("boot-a1b2.c2.kafka-serverless.us-east-1.amazonaws.com:9098", Some("us-east-1")),
            ("b-1.x.y.c2.kafka.cn-north-1.amazonaws.com.cn:9098", Some("cn-north-1")),
            ("127.0.0.1:9092", None),
            ("b.kafka.EVIL/.amazonaws.com:1", None),
            ("kafka.example.com:9092", None),
        ] {
            assert_eq!(region_in_name(bootstrap).as_deref(), region, "{bootstrap}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let none = credentials_of(|_| None).err().unwrap();
        assert!(
            none.what.contains("AWS_ACCESS_KEY_ID is not set") && none.advice.contains("export-credentials"),
            "{none:?}"
        );
        let half = credentials_of(|name| (name == "AWS_ACCESS_KEY_ID").then(|| "AKID".to_owned())).err().unwrap();
        assert!(half.what.contains("AWS_SECRET_ACCESS_KEY"), "{half:?}");
    }

    #[tokio::test]
    async fn a_cluster_of_an_unknown_region_is_refused_before_anything_is_signed() {
        let signer = MskSigner { region: None, command: None };
        let why = signer.sign(At(0), Duration::from_secs(1)).await.unwrap_err();
        assert!(why.lasting && why.advice.contains("`sasl.aws.region`"), "{why:?}");
    }
}
