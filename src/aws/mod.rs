//! AWS: the clients, and the store's two traits on `DynamoDB` and KMS.

mod answer_body;
mod attributes;
mod clients;
mod credentials;
mod dynamodb;
mod expressions;
mod failure;
mod http;
mod kms;
mod no_metrics;
mod registry;
mod request_counter;
mod settings;
mod sources;
mod user_agent;

pub use clients::{AwsClients, ClientSettings, Timeouts};
pub use dynamodb::DynamoDbTable;
pub use kms::{KmsKey, KmsKeys};
