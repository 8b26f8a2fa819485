//! DynamoDB by `dynoxide`, reached by a loopback hop of our own because its router is private.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::front::Call;
use crate::reply::{self, ErrorNamespace, Reply, Service};
use crate::serve;
use crate::tables::Tables;

/// Opens the tables kept in a file under `data`, or empty ones in memory.
///
/// # Errors
/// The directory cannot be created, or the file is no database of this emulator.
pub fn open(data: Option<&Path>) -> Result<Database, String> {
    let Some(directory) = data else {
        return Database::memory().map_err(|error| format!("cannot open a database: {error}"));
    };
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    let file = directory.join("dynamodb.sqlite");
    let path = file
        .to_str()
        .ok_or_else(|| format!("{} is not UTF-8", file.display()))?;
    Database::new(path).map_err(|error| format!("cannot open {path}: {error}"))
}

/// Creates the session table `name` unless there is a table of that name.
///
/// # Errors
/// The name is not a table name, or the database cannot be written.
pub fn create_table(database: &Database, name: &str) -> Result<(), String> {
    let request = serde_json::from_value(json!({
        "TableName": name,
        "KeySchema": [{"AttributeName": "sessionId", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "sessionId", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }))
    .map_err(|error| format!("--table {name}: {error}"))?;
    match database.create_table(request) {
        Ok(_) | Err(DynoxideError::ResourceInUseException(_)) => Ok(()),
        Err(error) => Err(format!("--table {name}: {error}")),
    }
}

/// The running engine, to be stopped at the end.
pub struct Engine {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), String>>,
}

impl Engine {
    /// Stops the engine and lets it close its file, within [`serve::STOP_PATIENCE`].
    pub async fn stop(self) {
        let _ = self.stop.send(());
        if let Ok(Ok(Err(error))) = tokio::time::timeout(serve::STOP_PATIENCE, self.task).await {
            eprintln!("aws-local: DynamoDB ended with an error: {error}");
        }
    }
}

/// The way to the engine.
pub struct DynamoDb {
    database: Database,
    tables: Tables,
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl DynamoDb {
    /// Starts the engine on a free loopback port.
    ///
    /// # Errors
    /// The system has no port to give.
    pub fn start(database: Database, tables: Tables) -> io::Result<(Self, Engine)> {
        let listener = serve::listen(0)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database.clone(),
            async {
                let _ = stopped.await;
            },
        ));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let dynamodb = Self {
            database,
            tables,
            client,
            address,
        };
        Ok((dynamodb, Engine { stop, task }))
    }

    /// Hands a call to the engine and its reply back.
    pub async fn answer(&self, call: &Call) -> Reply {
        if let Some(reply) = self.tables.answer(call, |table| self.has(table)) {
            return reply;
        }
        if call.operation.as_deref() == Some("UpdateTimeToLive")
            && let Some(message) = self.refuse_time_to_live(&call.body)
        {
            return reply::error(
                Service::DynamoDb,
                ErrorNamespace::Validation,
                StatusCode::BAD_REQUEST,
                "ValidationException",
                &message,
            );
        }
        self.answer_body(call, call.body.clone()).await
    }

    fn has(&self, table: &str) -> bool {
        serde_json::from_value(json!({"TableName": table}))
            .is_ok_and(|request| self.database.describe_table(request).is_ok())
    }

    /// Answers a `BatchWriteItem`, leaving its last `count` writes unapplied and handing them
    /// back as `UnprocessedItems`.
    pub async fn answer_partly(&self, call: &Call, count: usize) -> Reply {
        let Some((kept, held)) = hold_back(&call.body, count) else {
            return self.answer(call).await;
        };
        let Some(kept) = kept else {
            let body = json!({"UnprocessedItems": held}).to_string();
            return reply::from_body(Service::DynamoDb, StatusCode::OK, body.into());
        };
        let reply = self.answer_body(call, kept).await;
        if reply.status() != StatusCode::OK {
            return reply;
        }
        let (_, body) = reply.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let mut answer: Map<String, Value> = serde_json::from_slice(&body).unwrap_or_default();
        let unprocessed = answer
            .entry("UnprocessedItems")
            .or_insert_with(|| json!({}));
        for (table, writes) in held {
            match &mut unprocessed[&table] {
                Value::Array(already) => {
                    already.extend(writes.as_array().into_iter().flatten().cloned());
                }
                none => *none = writes,
            }
        }
        // A reply of our own, since the engine's x-amz-crc32 no longer fits.
        let body = Value::Object(answer).to_string();
        reply::from_body(Service::DynamoDb, StatusCode::OK, body.into())
    }

    /// What AWS says to an `UpdateTimeToLive` that changes nothing or another attribute; the
    /// engine takes the former.
    fn refuse_time_to_live(&self, body: &[u8]) -> Option<String> {
        let input: Value = serde_json::from_slice(body).ok()?;
        let wanted = &input["TimeToLiveSpecification"];
        let request = serde_json::from_value(json!({"TableName": input["TableName"]})).ok()?;
        let current = self.database.describe_time_to_live(request).ok()?;
        let current = current.time_to_live_description;
        let is_enabled = current.time_to_live_status == "ENABLED";
        let attribute = current.attribute_name.unwrap_or_default();
        match wanted["Enabled"].as_bool()? {
            true if is_enabled && wanted["AttributeName"] != attribute.as_str() => Some(format!(
                "TimeToLive is active on a different AttributeName: current AttributeName is \
                 {attribute}"
            )),
            true if is_enabled => Some("TimeToLive is already enabled".to_owned()),
            false if !is_enabled => Some("TimeToLive is already disabled".to_owned()),
            _ => None,
        }
    }

    async fn answer_body(&self, call: &Call, body: Bytes) -> Reply {
        match self.forward(call, body).await {
            Ok(reply) => reply,
            Err(error) => {
                eprintln!("aws-local: the DynamoDB engine did not answer: {error}");
                reply::error(
                    Service::DynamoDb,
                    ErrorNamespace::DynamoDb,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerError",
                    "the DynamoDB engine did not answer",
                )
            }
        }
    }

    async fn forward(
        &self,
        call: &Call,
        body: Bytes,
    ) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let path = call
            .parts
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::builder()
            .method(call.parts.method.clone())
            .uri(format!("http://{}{path}", self.address))
            .body(Full::new(body))?;
        *request.headers_mut() = end_to_end(&call.parts.headers);
        let (parts, body) = self.client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status == StatusCode::OK
            && let Some(body) = self.tables.described(call, &body)
        {
            // A reply of our own, since the engine's x-amz-crc32 no longer fits.
            return Ok(reply::from_body(Service::DynamoDb, StatusCode::OK, body));
        }
        let mut reply = Reply::new(Full::new(body));
        *reply.status_mut() = parts.status;
        *reply.headers_mut() = end_to_end(&parts.headers);
        Ok(reply)
    }
}

/// The headers that outlive a hop; the length is counted anew and the host is that of the hop.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for hop in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::HOST,
        header::EXPECT,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
    ] {
        kept.remove(hop);
    }
    kept
}

/// Parts a `BatchWriteItem` body into what goes on (nothing if no write is left) and the last
/// `count` writes by table. `None` if the body is not a batch.
fn hold_back(body: &[u8], count: usize) -> Option<(Option<Bytes>, Map<String, Value>)> {
    let mut batch: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let mut writes = Vec::new();
    for (table, of_table) in batch.get("RequestItems")?.as_object()? {
        for write in of_table.as_array()? {
            writes.push((table.clone(), write.clone()));
        }
    }
    let held = writes.split_off(writes.len().saturating_sub(count));
    let kept = (!writes.is_empty()).then(|| {
        batch.insert("RequestItems".to_owned(), by_table(writes).into());
        Value::Object(batch).to_string().into()
    });
    Some((kept, by_table(held)))
}

fn by_table(writes: Vec<(String, Value)>) -> Map<String, Value> {
    let mut tables = Map::new();
    for (table, write) in writes {
        if let Value::Array(of_table) = tables.entry(table).or_insert_with(|| json!([])) {
            of_table.push(write);
        }
    }
    tables
}
