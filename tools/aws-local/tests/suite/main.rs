//! Starts the binary and talks to it over HTTP as a client would.

mod control;
mod credentials;
mod dynamodb;
mod kms;
mod process;
mod support;
mod tables;
