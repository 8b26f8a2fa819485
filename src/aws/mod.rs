//! AWS: the clients, and the store's two traits on `DynamoDB` and KMS.

mod attributes;
mod batch_reads;
mod clients;
mod credentials;
mod dynamodb;
mod expressions;
mod failure;
mod http;
mod interceptors;
mod kms;
mod operator;
mod profile_files;
mod proxy;
mod registry;
mod settings;
mod signing_keys;
mod sources;
mod transactions;

pub use clients::{AwsClients, ClientSettings, Timeouts};
pub use dynamodb::DynamoDbTable;
pub use kms::{KmsKey, KmsKeys};
pub use operator::AwsInfrastructure;
