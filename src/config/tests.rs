use super::environment::DEFAULT_KEY_ARN;
use super::*;
use crate::aws::Timeouts;

fn environment() -> Environment {
    Environment::new(|_| None)
}

fn parse(json: &str) -> StoreConfig {
    StoreConfig::parse(json, &environment()).unwrap()
}

fn refused(json: &str) -> String {
    let error = StoreConfig::parse(json, &environment()).err().expect(json);
    assert_eq!(error.code(), "ERR_CONFIG");
    error.to_string()
}

fn aws(config: StoreConfig) -> (ClientSettings, ClientSettings, String) {
    match config.backend {
        BackendOptions::Aws { table, keys } => (table, keys[0].client.clone(), keys[0].arn.clone()),
        BackendOptions::Local { .. } => panic!("local"),
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = parse("{}");
    assert_eq!(config.table_name, "mcp-gateway-sessions");
    assert_eq!(config.lifetime, Lifetime::OfCookie);
    assert_eq!(config.key_cache, Some(Limits::DEFAULT));
    assert_eq!(config.record_version, Version::V1);
    assert_eq!(config.accept_versions, [Version::V1, Version::V2]);
    assert!(!config.accept_unversioned);
    let (table, keys, key_arn) = aws(config);
    assert_eq!(table.region, None, "the profile's, or the default");
    assert_eq!(keys.region.as_deref(), Some("us-east-1"));
    assert_eq!(key_arn, DEFAULT_KEY_ARN);
}

#[test]
fn the_environment_overrides_defaults_and_options_override_the_environment() {
    let environment = Environment::new(|name| match name {
        "SESSIONS_TABLE" => Some("from-env".into()),
        "AWS_REGION" => Some("eu-west-1".into()),
        "KMS_KEY_ARN" => Some(String::new()),
        _ => None,
    });
    let config = StoreConfig::parse("{}", &environment).unwrap();
    assert_eq!(config.table_name, "from-env");
    assert_eq!(aws(config).0.region.as_deref(), Some("eu-west-1"));
    let config = StoreConfig::parse(
        r#"{"tableName": "mine", "region": "ap-south-1"}"#,
        &environment,
    )
    .unwrap();
    assert_eq!(config.table_name, "mine");
    assert_eq!(aws(config).0.region.as_deref(), Some("ap-south-1"));
}

#[test]
fn local_mode_by_the_environment_yields_to_the_option_and_to_production() {
    let parsed = |json: &str, variables: &[(&str, &str)]| {
        let variable = |name: &str| variables.iter().find(|(other, _)| *other == name);
        let environment = Environment::new(|name| variable(name).map(|(_, value)| (*value).into()));
        StoreConfig::parse(json, &environment)
            .map(|config| match config.backend {
                BackendOptions::Local { path } => Some(path),
                BackendOptions::Aws { .. } => None,
            })
            .map_err(|error| error.code())
    };
    let (set, production) = (("SESSIONS_LOCAL", "./here"), ("NODE_ENV", "production"));
    let consent = ("SESSIONS_LOCAL_IN_PRODUCTION", "yes");
    assert_eq!(parsed("{}", &[set]), Ok(Some("./here".into())));
    assert_eq!(
        parsed("{}", &[("SESSIONS_LOCAL", ""), production]),
        Ok(None)
    );
    assert_eq!(parsed("{}", &[production, consent]), Ok(None));
    assert_eq!(parsed("{}", &[set, production]), Err("ERR_CONFIG"));
    let consented = parsed("{}", &[set, production, consent]);
    assert_eq!(consented, Ok(Some("./here".into())));
    let option = parsed(r#"{"local": {"path": "./own"}}"#, &[set, production]);
    assert_eq!(option, Ok(Some("./own".into())));
}

#[test]
fn the_keys_region_is_that_of_its_arn() {
    let (table, keys, _) = aws(parse(
        r#"{"region": "eu-west-1", "kmsKeyArn": "arn:aws:kms:eu-central-1:123456789012:alias/sessions"}"#,
    ));
    assert_eq!(
        (table.region.as_deref(), keys.region.as_deref()),
        (Some("eu-west-1"), Some("eu-central-1"))
    );
}

#[test]
fn a_services_own_endpoint_goes_before_the_common_one() {
    let (table, keys, _) = aws(parse(
        r#"{"region": "us-east-1", "endpoint": "http://127.0.0.1:1", "kmsEndpoint": "http://127.0.0.1:2"}"#,
    ));
    assert_eq!(
        table.dynamodb_endpoint.as_deref(),
        Some("http://127.0.0.1:1")
    );
    assert_eq!(keys.kms_endpoint.as_deref(), Some("http://127.0.0.1:2"));
    assert_eq!(table, keys, "one set of settings, so one pair of clients");
}

#[test]
fn version_0_is_read_where_that_is_asked_for_and_never_written() {
    let config = parse(r#"{"recordVersion": 2, "acceptVersions": [0, 2]}"#);
    assert!(config.accept_unversioned);
    assert_eq!(config.accept_versions, [Version::V2]);
    let detail = refused(r#"{"acceptVersions": [0]}"#);
    assert!(detail.starts_with("acceptVersions must contain 1"));
    let detail = refused(r#"{"recordVersion": 0}"#);
    assert!(detail.starts_with("recordVersion must be 1 or 2"));
}

#[test]
fn a_refused_value_of_the_right_kind_is_told_from_the_accepted_ones() {
    for (json, detail) in [
        (
            r#"{"recordVersion": 3}"#,
            "recordVersion must be 1 or 2, not another number",
        ),
        (
            r#"{"recordVersion": 1.5}"#,
            "recordVersion must be 1 or 2, not a fraction",
        ),
        (
            r#"{"recordVersion": "2"}"#,
            "recordVersion must be 1 or 2, not a string",
        ),
        (
            r#"{"acceptVersions": [1, 3]}"#,
            "acceptVersions[1] must be 0, 1 or 2, not another number",
        ),
        (
            r#"{"timeouts": {"callMillis": 0}}"#,
            "timeouts.callMillis must be a whole number from 1, not another number",
        ),
        (
            r#"{"keyCache": {"maxEntries": -1}}"#,
            "keyCache.maxEntries must be a whole number from 1, not a negative number",
        ),
        (
            r#"{"maxCallsInFlight": 1e300}"#,
            "maxCallsInFlight must be a whole number from 1, not a number that is too large",
        ),
        (
            r#"{"touchAfter": -1}"#,
            "touchAfter must be a number of seconds from 0, not a negative number",
        ),
        (
            r#"{"onConflict": "merge"}"#,
            "onConflict must be 'overwrite', 'error' or 'drop', not another string",
        ),
        (
            r#"{"kmsKeyArn": []}"#,
            "kmsKeyArn must be the ARN of a KMS key or alias, or an array of them, not an empty array",
        ),
    ] {
        assert_eq!(refused(json), detail);
    }
}

#[test]
fn every_refusal_names_the_option() {
    for (json, option) in [
        (r#"{"tablename": "x"}"#, "tablename"),
        (r#"{"tableName": 7}"#, "tableName"),
        (r#"{"tableName": "a b c"}"#, "tableName"),
        (r#"{"tableName": null}"#, "tableName"),
        (r#"{"ttlSeconds": 0}"#, "ttlSeconds"),
        (r#"{"ttlSeconds": "60"}"#, "ttlSeconds"),
        (
            r#"{"ttlSeconds": {"$not": "NaN"}}"#,
            "ttlSeconds must be a number of seconds, or a function that gives one, not NaN",
        ),
        (r#"{"kmsKeyArn": "afd7365b"}"#, "kmsKeyArn"),
        (r#"{"kmsKeyArn": "arn:aws:s3:::bucket"}"#, "kmsKeyArn"),
        (r#"{"region": "us east"}"#, "region"),
        (r#"{"endpoint": "localhost:8000"}"#, "endpoint"),
        (r#"{"dynamodbEndpoint": true}"#, "dynamodbEndpoint"),
        (r#"{"kmsEndpoint": "https://"}"#, "kmsEndpoint"),
        (r#"{"endpoint": "http://local host"}"#, "endpoint"),
        (r#"{"endpoint": "http://[::1"}"#, "endpoint"),
        (r#"{"endpoint": "http://:1"}"#, "endpoint"),
        (r#"{"endpoint": "ftp://localhost"}"#, "endpoint"),
        (r#"{"profile": ""}"#, "profile"),
        (r#"{"roleArn": "admin"}"#, "roleArn"),
        (r#"{"prefix": 1}"#, "prefix"),
        (r#"{"timeouts": 5000}"#, "timeouts"),
        (r#"{"timeouts": {"callMillis": 0}}"#, "timeouts.callMillis"),
        (
            r#"{"timeouts": {"callMillis": 60001}}"#,
            "timeouts.callMillis must be at most 60000 milliseconds",
        ),
        (
            r#"{"timeouts": {"attemptMillis": 5001}}"#,
            "timeouts.attemptMillis must be at most callMillis, which is 5000",
        ),
        (
            r#"{"timeouts": {"connectMillis": 300, "attemptMillis": 200}}"#,
            "timeouts.connectMillis must be at most attemptMillis, which is 200",
        ),
        (
            r#"{"timeouts": {"callSeconds": 5}}"#,
            "timeouts.callSeconds",
        ),
        (r#"{"maxCallsInFlight": 0}"#, "maxCallsInFlight"),
        (r#"{"keyCache": "no"}"#, "keyCache"),
        (r#"{"keyCache": {"maxEntries": 0}}"#, "keyCache.maxEntries"),
        (r#"{"keyCache": {"maxAge": 5}}"#, "keyCache.maxAge"),
        (
            r#"{"keyCache": {"maxAgeSeconds": 1.5}}"#,
            "keyCache.maxAgeSeconds",
        ),
        (r#"{"keyCache": "lax"}"#, "keyCache"),
        (r#"{"kmsKeyArn": []}"#, "kmsKeyArn"),
        (
            r#"{"kmsKeyArn": ["arn:aws:kms:us-east-1:1:key/a", 7]}"#,
            "kmsKeyArn",
        ),
        (r#"{"recordVersion": 3}"#, "recordVersion"),
        (r#"{"recordVersion": "2"}"#, "recordVersion"),
        (r#"{"acceptVersions": 2}"#, "acceptVersions"),
        (r#"{"acceptVersions": [1, 3]}"#, "acceptVersions"),
        (
            r#"{"recordVersion": 2, "acceptVersions": [1]}"#,
            "acceptVersions",
        ),
        (r#"{"acceptVersions": []}"#, "acceptVersions"),
        (r#"{"encryptionContext": "x"}"#, "encryptionContext"),
        (r#"{"encryptionContext": {"team": 1}}"#, "encryptionContext"),
        (
            r#"{"encryptionContext": {"table": "x"}}"#,
            "encryptionContext must not have table",
        ),
        (r#"{"hashSessionIds": "yes"}"#, "hashSessionIds"),
        (r#"{"hashSessionIds": {}}"#, "hashSessionIds.secret"),
        (
            r#"{"hashSessionIds": {"secret": "short"}}"#,
            "hashSessionIds.secret",
        ),
        (
            r#"{"hashSessionIds": {"salt": "0123456789abcdef"}}"#,
            "hashSessionIds.salt",
        ),
        (r#"{"local": true}"#, "local"),
        (r#"{"local": {}}"#, "local.path"),
        (r#"{"local": {"path": 1}}"#, "local.path"),
        (r#"{"local": {"path": "x", "mode": 1}}"#, "local.mode"),
        (r#"{"docClient": {"$not": "another object"}}"#, "docClient"),
        (r#"{"docClient": true, "region": "eu-west-1"}"#, "region"),
        (
            r#"{"kmsClient": true, "kmsEndpoint": "http://127.0.0.1:1"}"#,
            "kmsEndpoint",
        ),
        ("[]", "configuration"),
        ("null", "configuration"),
    ] {
        let message = refused(json);
        assert!(message.contains(option), "{json}: {message}");
    }
}

#[test]
fn a_refusal_names_the_whole_path_and_never_the_value() {
    for (json, message) in [
        (
            r#"{"hashSessionIds": {"secret": 1234567890123456}}"#,
            "hashSessionIds.secret must be a string, not a number",
        ),
        (
            r#"{"hashSessionIds": "0123456789abcdef"}"#,
            "hashSessionIds must be true, false or an object with secret, not a string",
        ),
        (
            r#"{"acceptVersions": [1, {"$not": "NaN"}]}"#,
            "acceptVersions[1] must be 0, 1 or 2, not NaN",
        ),
        (
            r#"{"timeouts": []}"#,
            "timeouts must be an object with milliseconds, not an array",
        ),
        (
            r#"{"encryptionContext": {"team": {"$not": "a function"}}}"#,
            "encryptionContext.team must be a string, not a function",
        ),
    ] {
        assert_eq!(refused(json), message);
    }
}

#[test]
fn a_bad_environment_is_named() {
    let environment = Environment::new(|name| (name == "KMS_KEY_ARN").then(|| "nonsense".into()));
    let error = StoreConfig::parse("{}", &environment).err().unwrap();
    assert!(error.to_string().contains("KMS_KEY_ARN"));
}

#[test]
fn a_region_with_white_space_is_refused_where_it_counts() {
    for region in ["us-east-1\n", " us-east-1", "us east"] {
        let environment = Environment::new(|name| (name == "AWS_REGION").then(|| region.into()));
        let error = StoreConfig::parse("{}", &environment).err().expect(region);
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
        assert!(StoreConfig::parse(r#"{"region": "eu-west-1"}"#, &environment).is_ok());
        assert!(StoreConfig::parse(r#"{"local": {"path": "x"}}"#, &environment).is_ok());
    }
}

#[test]
fn local_mode_wins_over_the_options_about_aws() {
    let config = parse(r#"{"local": {"path": "./x"}, "tableName": "mine", "region": "eu-west-1"}"#);
    assert_eq!(config.table_name, "mine");
    assert_eq!(config.backend, BackendOptions::Local { path: "./x".into() });
}

#[test]
fn several_keys_have_a_client_each_in_their_own_region() {
    let config = parse(
        r#"{"kmsKeyArn": ["arn:aws:kms:us-east-1:1:key/new", "arn:aws:kms:eu-west-1:2:alias/old"], "kmsEndpoint": "http://127.0.0.1:2"}"#,
    );
    let BackendOptions::Aws { keys, .. } = config.backend else {
        panic!("local");
    };
    let regions: Vec<&str> = keys
        .iter()
        .filter_map(|key| key.client.region.as_deref())
        .collect();
    assert_eq!(regions, ["us-east-1", "eu-west-1"]);
    assert!(keys.iter().all(|key| key.client.kms_endpoint.is_some()));
}

#[test]
fn the_key_cache_takes_presets_and_limits() {
    assert_eq!(parse(r#"{"keyCache": false}"#).key_cache, None);
    assert_eq!(
        parse(r#"{"keyCache": "strict"}"#).key_cache,
        Some(Limits::STRICT)
    );
    let limits = parse(
        r#"{"keyCache": {"maxEntries": 5, "maxAgeSeconds": 60, "revocationCheckSeconds": 5}}"#,
    );
    let expected = Limits {
        max_entries: 5,
        max_age: Duration::from_mins(1),
        revocation_check: Duration::from_secs(5),
        ..Limits::DEFAULT
    };
    assert_eq!(limits.key_cache, Some(expected));
}

#[test]
fn ids_are_hashed_with_or_without_a_secret() {
    assert!(matches!(
        parse(r#"{"hashSessionIds": true}"#).hash_session_ids,
        IdHashing::Sha256
    ));
    let keyed = parse(r#"{"hashSessionIds": {"secret": "0123456789abcdef"}}"#).hash_session_ids;
    assert!(matches!(keyed, IdHashing::Keyed(secret) if *secret == b"0123456789abcdef"));
}

#[test]
fn deadlines_that_are_left_out_are_no_longer_than_what_they_are_part_of() {
    let timeouts = |json: &str| {
        let config = parse(json);
        let call = config.call_timeout();
        let (table, keys, _) = aws(config);
        assert_eq!(table.timeouts, keys.timeouts);
        assert_eq!(call, Some(table.timeouts.call));
        let Timeouts {
            connect,
            attempt,
            call,
        } = table.timeouts;
        [connect, attempt, call].map(|timeout| timeout.as_millis())
    };
    assert_eq!(timeouts("{}"), [1000, 2000, 5000]);
    assert_eq!(timeouts(r#"{"timeouts": {}}"#), [1000, 2000, 5000]);
    assert_eq!(
        timeouts(r#"{"timeouts": {"callMillis": 1500}}"#),
        [1000, 1500, 1500]
    );
    assert_eq!(
        timeouts(r#"{"timeouts": {"attemptMillis": 300}}"#),
        [300, 300, 5000]
    );
    assert_eq!(
        timeouts(r#"{"timeouts": {"connectMillis": 1}, "docClient": true, "kmsClient": true}"#),
        [1, 2000, 5000],
        "the handles carry the environment's settings, and the store has its deadlines"
    );
    assert_eq!(parse(r#"{"local": {"path": "x"}}"#).call_timeout(), None);
}
