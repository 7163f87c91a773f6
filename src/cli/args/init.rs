//! What `cutover init` is given.

use std::path::PathBuf;

use clap::Args;

/// `cutover init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Bootstrap addresses of the blue (legacy) cluster
    #[arg(long, value_name = "HOST:PORT[,...]", required_unless_present = "blue_client_config")]
    pub blue: Option<String>,
    /// Bootstrap addresses of the green (new) cluster
    #[arg(long, value_name = "HOST:PORT[,...]", required_unless_present = "green_client_config")]
    pub green: Option<String>,
    /// File of client properties for both clusters, in Java's words (client.properties) or librdkafka's
    #[arg(long = "client-config", value_name = "FILE")]
    pub client_config: Option<PathBuf>,
    /// The same for blue only; its bootstrap.servers count where --blue is not given
    #[arg(long = "blue-client-config", value_name = "FILE")]
    pub blue_client_config: Option<PathBuf>,
    /// The same for green only; its bootstrap.servers count where --green is not given
    #[arg(long = "green-client-config", value_name = "FILE")]
    pub green_client_config: Option<PathBuf>,
    /// Client property for both clusters, in librdkafka's names; repeatable; it goes before a file's
    #[arg(short = 'X', value_name = "NAME=VALUE")]
    pub property: Vec<String>,
    /// Client property for blue only
    #[arg(long = "blue-property", value_name = "NAME=VALUE")]
    pub blue_property: Vec<String>,
    /// Client property for green only
    #[arg(long = "green-property", value_name = "NAME=VALUE")]
    pub green_property: Vec<String>,
    /// Name of the migration
    #[arg(long, default_value = "migration")]
    pub name: String,
    /// Replace an existing plan file
    #[arg(long)]
    pub force: bool,
}
