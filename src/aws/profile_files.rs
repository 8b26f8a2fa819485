//! What is wrong with the configuration files. The SDK takes a file that it cannot read for an
//! empty one, and does not say which line it cannot parse.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_config::profile;
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_types::os_shim_internal::{Env, Fs};

use super::failure::chain;

/// The variables that name the files, and the names of the files without them.
const FILES: [(&str, &str); 2] = [
    ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ("AWS_CONFIG_FILE", "config"),
];

const UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why the files do not give what somebody put there, if something is wrong with them.
pub(super) async fn trouble() -> Option<String> {
    let (fs, env) = (Fs::real(), Env::real());
    for (variable, name) in FILES {
        let named = env.get(variable).ok();
        let at = named.clone().unwrap_or_else(|| format!("~/.aws/{name}"));
        let Some(path) = expanded(&env, &at) else {
            continue;
        };
        let found = fs.read_to_end(&path).await;
        let what = match found.as_deref() {
            Ok(contents) => of_contents(contents),
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => None,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Some(format!("does not exist, but {variable} names it"))
            }
            Err(error) => Some(format!("cannot be read: {}", error.kind())),
        };
        if let Some(what) = what {
            return Some(format!("{} {what}", path.display()));
        }
    }
    let profiles = match profile::load(&fs, &env, &EnvConfigFiles::default(), None).await {
        Ok(profiles) => profiles,
        Err(error) => {
            return chain(&error)
                .last()
                .map(|error| one_line(&error.to_string()));
        }
    };
    let selected = env.get("AWS_PROFILE").ok()?;
    let missing = !selected.is_empty() && profiles.get_profile(&selected).is_none();
    missing.then(|| {
        format!("the AWS profile {selected}, which AWS_PROFILE names, is in neither of the configuration files")
    })
}

/// A path without the `~` that it may begin with; `None` if there is no home.
fn expanded(env: &Env, path: &str) -> Option<PathBuf> {
    let Some(below) = path.strip_prefix("~/") else {
        return Some(PathBuf::from(path));
    };
    let home = env.get("HOME").or_else(|_| env.get("USERPROFILE")).ok()?;
    Some(Path::new(&home).join(below))
}

fn of_contents(contents: &[u8]) -> Option<String> {
    let what = if UTF16.iter().any(|mark| contents.starts_with(mark)) {
        "is in UTF-16"
    } else if contents.starts_with(BYTE_ORDER_MARK) {
        "begins with a byte order mark"
    } else if std::str::from_utf8(contents).is_err() {
        "is not in UTF-8"
    } else {
        return None;
    };
    Some(format!(
        "{what}; save it in UTF-8 without a byte order mark"
    ))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
