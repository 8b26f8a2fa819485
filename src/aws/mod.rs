//! AWS: clients made once, and the two traits of the store on them.

mod clients;
mod dynamodb;
mod failure;
mod kms;
mod user_agent;

pub use clients::{AwsClients, ClientSettings};
pub use dynamodb::DynamoDbTable;
pub use kms::{KmsKey, KmsKeys};
