//! The backends of the conformance tests: local mode, and AWS's protocols served by
//! `tools/aws-local`.

#![allow(dead_code)] // each test program uses a part
#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};

use connect_dynamodb_kms::aws::{
    AwsClients, ClientSettings, DynamoDbTable, KmsKey, KmsKeys, Timeouts,
};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::error::Result;
use connect_dynamodb_kms::keys::DataKeys;
use connect_dynamodb_kms::keys::cache::{KeyCache, Limits};
use connect_dynamodb_kms::local::{LocalFolder, LocalKeys, LocalTable};
use connect_dynamodb_kms::record::Version;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::store::session_table::SessionTable;
use connect_dynamodb_kms::store::{
    Attempt, End, Known, Lookup, RecordPolicy, Save, Saved, Saving, SessionStore, SessionUser,
};
use connect_dynamodb_kms::time::EpochMillis;

/// The program of `tools/aws-local`. `AWS_LOCAL` names it: `npm test` sets that, and so does
/// anybody who compiles copies of this crate. Otherwise cargo builds the program now.
static PROGRAM: LazyLock<String> =
    LazyLock::new(|| std::env::var("AWS_LOCAL").unwrap_or_else(|_| build()));

/// A table, data keys, and what must live as long as they are used.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) table: Arc<dyn SessionTable>,
    pub(crate) keys: Arc<dyn DataKeys>,
    _guard: Guard,
}

enum Guard {
    Folder(#[allow(dead_code)] tempfile::TempDir),
    Server(Child),
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Guard::Server(server) = self {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Whether a session has ended. Local mode may have removed its record meanwhile: it looks for ended
/// records in the background, once a minute by the time of the calls.
pub(crate) fn is_over(found: &Result<Lookup>) -> bool {
    matches!(found, Ok(Lookup::Ended | Lookup::Missing))
}

/// Both backends, each with an empty table.
pub(crate) fn backends() -> [Backend; 2] {
    [local(), aws()]
}

fn local() -> Backend {
    let folder = tempfile::tempdir().unwrap();
    let files = LocalFolder::new(folder.path().to_str().unwrap()).unwrap();
    Backend {
        name: "local",
        table: Arc::new(LocalTable::new(files.clone(), "sessions")),
        keys: Arc::new(LocalKeys::new(files)),
        _guard: Guard::Folder(folder),
    }
}

fn aws() -> Backend {
    aws_with(&[]).0
}

/// The AWS servers with a second KMS key, and the keys of a store that wraps with the second key
/// and still unwraps with the first.
pub(crate) fn aws_with_new_key() -> (Backend, Arc<dyn DataKeys>) {
    let arn = |last: char| format!("arn:aws:kms:us-east-1:232282424912:key/{KEY_ID}{last}");
    let (old, new) = (arn('1'), arn('2'));
    let (backend, key) = aws_with(&["--key-arn", &old, "--key-arn", &new]);
    let keys = [1, 0].map(key).into();
    (backend, Arc::new(KmsKeys::new(keys).unwrap()))
}

const KEY_ID: &str = "00000000-0000-4000-8000-00000000000";

fn aws_with(args: &[&str]) -> (Backend, impl Fn(usize) -> KmsKey + use<>) {
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        // SAFETY: every test of this program sets the same value, before its first AWS call.
        unsafe { std::env::set_var(variable, "local") };
    }
    let mut server = Command::new(PROGRAM.as_str())
        .args(["--table", "sessions"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program of tools/aws-local");
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).expect("its line of addresses");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let clients = AwsClients::shared(&ClientSettings {
        region: Some("us-east-1".into()),
        dynamodb_endpoint: Some(text(&ready["dynamodb"])),
        kms_endpoint: Some(text(&ready["kms"])),
        profile: None,
        role_arn: None,
        timeouts: Timeouts::DEFAULT,
    });
    let table = DynamoDbTable::new(clients.clone(), "sessions".into());
    let key = move |index: usize| KmsKey {
        clients: clients.clone(),
        arn: text(&ready["keyArns"][index]),
        unset: None,
    };
    let backend = Backend {
        name: "aws",
        table: Arc::new(table),
        keys: Arc::new(KmsKeys::new(vec![key(0)]).unwrap()),
        _guard: Guard::Server(server),
    };
    (backend, key)
}

fn build() -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/aws-local/Cargo.toml");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--manifest-path",
            manifest,
            "--message-format",
            "json-render-diagnostics",
        ])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo");
    assert!(built.status.success(), "tools/aws-local does not build");
    String::from_utf8(built.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "aws-local")
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .expect("the path of the program")
}

/// A store on a backend that writes `write` and reads both versions, with a cache of its own.
pub(crate) fn store(backend: &Backend, write: Version) -> SessionStore {
    store_with(backend, write, IdHashing::None)
}

/// The same with hashed ids.
pub(crate) fn store_with(backend: &Backend, write: Version, hashing: IdHashing) -> SessionStore {
    SessionStore::new(
        backend.table.clone(),
        KeyCache::new(backend.keys.clone(), Some(Limits::DEFAULT)),
        PartitionKeys::new("app:".into(), hashing),
        RecordPolicy::new(
            write,
            vec![Version::V1, Version::V2],
            "sessions".into(),
            BTreeMap::new(),
        ),
        Saving::default(),
    )
}

/// Saves a session of which the caller knows nothing.
pub(crate) trait SetNew {
    async fn set(
        &self,
        sid: &str,
        json: Plaintext,
        now: EpochMillis,
        end: impl Into<End>,
    ) -> Result<Saved>;
}

impl SetNew for SessionStore {
    async fn set(
        &self,
        sid: &str,
        json: Plaintext,
        now: EpochMillis,
        end: impl Into<End>,
    ) -> Result<Saved> {
        let sid = sid.to_owned();
        let save = Save {
            sid,
            json,
            now,
            end: end.into(),
            user: SessionUser::Unasked,
            attempt: Attempt::default(),
        };
        self.save(save, Known::Nothing, self.on_conflict()).await
    }
}
