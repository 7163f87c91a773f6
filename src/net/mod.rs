//! What is not Kafka: one TLS stack, HTTP over it, commands without a shell.

/// Texts as URLs and forms carry them.
pub mod form;
/// HTTP/1.1 requests over the one TLS stack, bounded in time and size.
pub mod http;
/// Commands without a shell: a timeout that ends the whole process group, bounded output.
pub mod process;
/// TLS with the one OpenSSL: what is trusted, who the client is, the handshake.
pub mod tls;
