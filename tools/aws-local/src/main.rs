//! `aws-local`: DynamoDB, KMS and STS on 127.0.0.1 for tests, benchmarks and the demo.
//!
//! It prints one line of JSON with its addresses when it is ready, and ends on SIGINT, SIGTERM
//! or the end of its standard input.

mod clock;
mod control;
mod dynamodb;
mod front;
mod kms;
mod reply;
mod serve;
mod sts;
mod tables;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use lexopt::prelude::{Long, Short, ValueExt};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::dynamodb::DynamoDb;
use crate::front::Front;
use crate::kms::{KeyArn, Kms};
use crate::reply::Service;
use crate::sts::Sts;
use crate::tables::Tables;

const USAGE: &str = "\
usage: aws-local [--dynamodb-port N] [--kms-port N] [--sts-port N] [--control-port N]
                 [--key-arn ARN]... [--table NAME] [--data DIR] [--access-key-id ID]
                 [--dynamodb-region REGION] [--creating N]";

/// The key there is when no other is asked for.
const DEFAULT_KEY_ARN: &str =
    "arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a";

#[derive(Default)]
struct Arguments {
    dynamodb_port: u16,
    kms_port: u16,
    sts_port: u16,
    control_port: u16,
    key_arns: Vec<KeyArn>,
    table: Option<String>,
    data: Option<PathBuf>,
    access_key_id: Option<String>,
    dynamodb_region: Option<String>,
    creating: u32,
}

/// Reads the command line; `None` if it asks for help.
fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("dynamodb-port") => arguments.dynamodb_port = parser.value()?.parse()?,
            Long("kms-port") => arguments.kms_port = parser.value()?.parse()?,
            Long("sts-port") => arguments.sts_port = parser.value()?.parse()?,
            Long("control-port") => arguments.control_port = parser.value()?.parse()?,
            Long("key-arn") => arguments.key_arns.push(parser.value()?.parse()?),
            Long("table") => arguments.table = Some(parser.value()?.string()?),
            Long("data") => arguments.data = Some(parser.value()?.into()),
            Long("access-key-id") => arguments.access_key_id = Some(parser.value()?.string()?),
            Long("dynamodb-region") => {
                arguments.dynamodb_region = Some(parser.value()?.string()?);
            }
            Long("creating") => arguments.creating = parser.value()?.parse()?,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    if arguments.key_arns.is_empty() {
        arguments.key_arns.push(DEFAULT_KEY_ARN.parse()?);
    }
    Ok(Some(arguments))
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("aws-local: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aws-local: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts everything, says so, and returns when it was told to end and all is closed.
async fn run(arguments: Arguments) -> Result<(), String> {
    let ended = end_requested()?;

    // Before the engine takes a free port, lest it takes one of these.
    let (dynamodb_listener, dynamodb_url) = listen("--dynamodb-port", arguments.dynamodb_port)?;
    let (kms_listener, kms_url) = listen("--kms-port", arguments.kms_port)?;
    let (sts_listener, sts_url) = listen("--sts-port", arguments.sts_port)?;
    let (control_listener, control_url) = listen("--control-port", arguments.control_port)?;

    let database = dynamodb::open(arguments.data.as_deref())?;
    if let Some(table) = &arguments.table {
        dynamodb::create_table(&database, table)?;
    }
    let tables = Tables::new(arguments.dynamodb_region, arguments.creating);
    let (dynamodb, engine) = DynamoDb::start(database, tables)
        .map_err(|error| format!("cannot start DynamoDB: {error}"))?;
    let kms = Kms::with_keys(&arguments.key_arns).await?;
    let front = Front::new(dynamodb, kms, Sts::new(), arguments.access_key_id);
    let front = Arc::new(front);

    let (stop, stopped) = watch::channel(false);
    let mut servers = tokio::task::JoinSet::new();
    for (service, listener) in [
        (Service::DynamoDb, dynamodb_listener),
        (Service::Kms, kms_listener),
        (Service::Sts, sts_listener),
    ] {
        let front = Arc::clone(&front);
        servers.spawn(serve::serve(listener, stopped.clone(), move |request| {
            let front = Arc::clone(&front);
            async move { front.answer(service, request).await }
        }));
    }
    servers.spawn(serve::serve(control_listener, stopped, move |request| {
        let front = Arc::clone(&front);
        async move { control::answer(&front, request).await }
    }));

    announce(&Announcement {
        dynamodb: dynamodb_url,
        kms: kms_url,
        sts: sts_url,
        control: control_url,
        key_arns: arguments.key_arns.iter().map(KeyArn::as_str).collect(),
    })
    .map_err(|error| format!("cannot write to standard output: {error}"))?;

    let _ = ended.await;
    let _ = stop.send(true);
    while servers.join_next().await.is_some() {}
    engine.stop().await;
    Ok(())
}

/// Listens on `port` and names the URL; `flag` is for the error message.
fn listen(flag: &str, port: u16) -> Result<(TcpListener, String), String> {
    let explain = |error| format!("cannot listen on 127.0.0.1:{port} ({flag}): {error}");
    let listener = serve::listen(port).map_err(explain)?;
    let address = listener.local_addr().map_err(explain)?;
    Ok((listener, format!("http://{address}")))
}

/// The line that says all is ready.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Announcement<'a> {
    dynamodb: String,
    kms: String,
    sts: String,
    control: String,
    key_arns: Vec<&'a str>,
}

fn announce(announcement: &Announcement<'_>) -> std::io::Result<()> {
    let mut line = serde_json::to_string(announcement)?;
    line.push('\n');
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes())?;
    output.flush()
}

/// Resolves on SIGINT, SIGTERM or the end of standard input, watched from now on.
fn end_requested() -> Result<oneshot::Receiver<()>, String> {
    let explain = |error| format!("cannot watch signals: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(explain)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(explain)?;
    let (input_ended, input_end) = oneshot::channel();
    // A plain thread: unlike one of the runtime it does not hold up the end of the process.
    std::thread::spawn(move || {
        let mut ignored = [0; 4096];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => break,
                Ok(_) | Err(_) => {}
            }
        }
        let _ = input_ended.send(());
    });
    let (end, ended) = oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = input_end => {}
        }
        let _ = end.send(());
    });
    Ok(ended)
}
