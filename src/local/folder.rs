//! The folder of local mode: `sessions.redb` and `key`, opened on first use and shared by the
//! stores of this process.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard, Weak,
};

use rand::TryRng;
use rand::rngs::SysRng;
use redb::{Database, DatabaseError, StorageError, TableDefinition};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::crypto::data_key::{DATA_KEY_LENGTH, DataKey};
use crate::error::{Cause, Error, Result};

type Redb<T> = std::result::Result<T, redb::Error>;

/// Records that a key file was made for this database, so that a lost one is not silently replaced.
const FACTS: TableDefinition<&str, &str> = TableDefinition::new("connect-dynamodb-kms");
const KEY_MADE: &str = "key";

/// The contents of a folder of local mode, apart from `.gitignore`.
const FILES: [&str; 3] = ["sessions.redb", "key", "key.new"];

/// Every folder that this process has open, by its real path, because a database can be opened only
/// once. An unused folder stays in the list until its files are closed.
static OPENED: LazyLock<Mutex<HashMap<PathBuf, Weak<Opened>>>> = LazyLock::new(Mutex::default);
/// Told whenever files were closed.
static CLOSED: Condvar = Condvar::new();

/// A folder of the local mode.
pub struct LocalFolder {
    path: PathBuf,
    opened: OnceCell<Arc<Opened>>,
}

/// The open files of a folder.
struct Opened {
    path: PathBuf,
    /// `None` after a read or a write of the file has failed: redb refuses everything then, until
    /// it is opened again.
    database: RwLock<Option<Database>>,
    key: Arc<DataKey>,
    /// The last field, so that it is dropped when the files are closed.
    _entry: Entry,
}

/// A folder's place among those that are open.
struct Entry(PathBuf);

impl Drop for Entry {
    fn drop(&mut self) {
        folders().remove(&self.0);
        CLOSED.notify_all();
    }
}

impl Opened {
    fn run<T>(&self, work: impl FnOnce(&Database) -> Redb<T>) -> Redb<T> {
        let mut database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            drop(database);
            self.open_again()?;
            database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        }
        // Another call may have failed in between.
        let result = database.as_ref().map_or(Err(redb::Error::PreviousIo), work);
        drop(database);
        if let Err(redb::Error::Io(_) | redb::Error::PreviousIo) = result {
            *self.write() = None;
        }
        result
    }

    fn open_again(&self) -> Redb<()> {
        let mut database = self.write();
        if database.is_none() {
            keep_from_others(&self.path).map_err(redb::Error::Io)?;
            *database = Some(Database::create(&self.path)?);
        }
        Ok(())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Database>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalFolder {
    /// The folder at `path`. Touches no file yet.
    ///
    /// # Errors
    /// `ERR_CONFIG` if `path` cannot be made absolute.
    pub fn new(path: &str) -> Result<Arc<LocalFolder>> {
        let path = std::path::absolute(path).map_err(|error| {
            Error::Config(format!("the folder of local mode cannot be used: {error}"))
        })?;
        Ok(Arc::new(LocalFolder {
            path,
            opened: OnceCell::new(),
        }))
    }

    /// Runs `work` on the database, off the threads that serve other calls.
    ///
    /// # Errors
    /// `ERR_CONFIG` if the folder cannot be opened for a reason that the caller must remove,
    /// `ERR_DYNAMODB_UNAVAILABLE` for a file that cannot be read or written.
    pub(super) async fn database<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Redb<T> + Send + 'static,
    ) -> Result<T> {
        let opened = self.opened().await?.clone();
        blocking(move || opened.run(work))
            .await?
            .map_err(|error| self.failed(&error))
    }

    /// The key encryption key.
    ///
    /// # Errors
    /// As [`LocalFolder::database`].
    pub(super) async fn key(&self) -> Result<Arc<DataKey>> {
        Ok(self.opened().await?.key.clone())
    }

    async fn opened(&self) -> Result<&Arc<Opened>> {
        self.opened
            .get_or_try_init(|| async {
                let path = self.path.clone();
                blocking(move || open_shared(&path)).await?
            })
            .await
    }

    fn failed(&self, error: &dyn Display) -> Error {
        failed(&self.path, error)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    spawn_blocking(work)
        .await
        .map_err(|error| Error::LocalFile {
            folder: String::new(),
            source: Some(Cause::new("JoinError", error)),
        })
}

fn failed(folder: &Path, error: &dyn Display) -> Error {
    Error::LocalFile {
        folder: folder.display().to_string(),
        source: Some(Cause::new("LocalFileError", error)),
    }
}

/// Whether a failure stays until somebody changes the file or its permissions.
fn lasts(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
    )
}

fn unusable_file(path: &Path, error: &dyn Display) -> Error {
    Error::Config(format!(
        "the file {} of local mode cannot be used: {error}; check its permissions, or remove it to start anew",
        path.display()
    ))
}

/// The files of a folder, shared by every store of this process that uses it under any name.
fn open_shared(folder: &Path) -> Result<Arc<Opened>> {
    let unusable = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull => failed(folder, &error),
        _ => Error::Config(format!(
            "{}, the folder of local mode (local.path, or SESSIONS_LOCAL), cannot be used: {error}",
            folder.display()
        )),
    };
    make_folder(folder).map_err(unusable)?;
    let real_path = folder.canonicalize().map_err(unusable)?;
    let mut opened = folders();
    while let Some(files) = opened.get(&real_path) {
        if let Some(files) = files.upgrade() {
            return Ok(files);
        }
        // The last store that used the files is gone, and they are being closed.
        opened = CLOSED.wait(opened).unwrap_or_else(PoisonError::into_inner);
    }
    let files = Arc::new(open(&real_path)?);
    opened.insert(real_path, Arc::downgrade(&files));
    Ok(files)
}

fn folders() -> MutexGuard<'static, HashMap<PathBuf, Weak<Opened>>> {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(folder: &Path) -> Result<Opened> {
    let path = folder.join("sessions.redb");
    keep_from_others(&path).map_err(|error| {
        if lasts(&error) {
            unusable_file(&path, &error)
        } else {
            failed(folder, &error)
        }
    })?;
    let _ = hide_from_git(folder); // a folder where that cannot be written may serve all the same
    let database = Database::create(&path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => Error::Config(format!(
            "{}, the folder of local mode (local.path, or SESSIONS_LOCAL), is in use by another process; stop it, or give this one another folder",
            folder.display()
        )),
        DatabaseError::UpgradeRequired(_)
        | DatabaseError::LockProtocolMismatch
        | DatabaseError::Storage(StorageError::Corrupted(_)) => unusable_file(&path, &error),
        DatabaseError::Storage(StorageError::Io(io)) if lasts(&io) => unusable_file(&path, &io),
        error => failed(folder, &error),
    })?;
    let key_path = folder.join("key");
    let key = if key_path
        .try_exists()
        .map_err(|error| failed(folder, &error))?
    {
        read_key(&key_path)?
    } else if key_was_made(&database).map_err(|error| failed(folder, &error))? {
        return Err(Error::Config(format!(
            "the key file {} is missing, so the sessions beside it cannot be read; restore it, or remove the folder to start anew",
            key_path.display()
        )));
    } else {
        make_key(folder, &key_path).map_err(|error| failed(folder, &error))?
    };
    note_key(&database).map_err(|error| failed(folder, &error))?;
    Ok(Opened {
        path,
        database: RwLock::new(Some(database)),
        key: Arc::new(key),
        _entry: Entry(folder.to_owned()),
    })
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Keeps the key and the sessions out of commits, in a folder that holds nothing else.
fn hide_from_git(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        if !FILES
            .iter()
            .any(|name| entry.as_ref().is_ok_and(|entry| entry.file_name() == *name))
        {
            return Ok(());
        }
    }
    let path = folder.join(".gitignore");
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(b"*\n"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn read_key(path: &Path) -> Result<DataKey> {
    let unreadable = |error: io::Error| {
        Error::Config(format!(
            "the key file {} cannot be read: {error}",
            path.display()
        ))
    };
    let mut file = File::open(path).map_err(unreadable)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &file.metadata().map_err(unreadable)?.permissions(),
        );
        if mode & 0o077 != 0 {
            return Err(Error::Config(format!(
                "the key file {} has mode {:04o}, so others may use it; run chmod 600 on it, and make a new folder if others had access",
                path.display(),
                mode & 0o7777
            )));
        }
    }
    let mut key = Zeroizing::new(Vec::with_capacity(DATA_KEY_LENGTH + 1));
    Read::by_ref(&mut file)
        .take(DATA_KEY_LENGTH as u64 + 1)
        .read_to_end(&mut key)
        .map_err(unreadable)?;
    DataKey::new(key).map_err(|_| {
        Error::Config(format!(
            "the key file {} must have exactly {DATA_KEY_LENGTH} bytes; restore it, or remove the folder to start anew",
            path.display()
        ))
    })
}

/// Writes the key under another name first, so that a crash never leaves half a key. The database's
/// lock keeps other processes out.
fn make_key(folder: &Path, path: &Path) -> io::Result<DataKey> {
    let mut key = Zeroizing::new(vec![0; DATA_KEY_LENGTH]);
    SysRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    let unfinished = folder.join("key.new");
    // A file that a crash has left, or that somebody has planted, can be readable by others.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = private(&mut options).open(&unfinished)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    DataKey::new(key).map_err(io::Error::other)
}

/// Makes the database file for its owner only, and removes the permissions of others from an
/// existing one: redb would leave them to the umask. If they cannot be removed, the file is used
/// all the same, because its content is sealed.
fn keep_from_others(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = private(options.append(true).create(true)).open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            let _ = file.set_permissions(fs::Permissions::from_mode(mode & 0o700));
        }
    }
    drop(file);
    Ok(())
}

/// For the owner alone, where there are modes.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn key_was_made(database: &Database) -> Redb<bool> {
    match redb::ReadableDatabase::begin_read(database)?.open_table(FACTS) {
        Ok(facts) => Ok(facts.get(KEY_MADE)?.is_some()),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn note_key(database: &Database) -> Redb<()> {
    if !key_was_made(database)? {
        let transaction = database.begin_write()?;
        transaction.open_table(FACTS)?.insert(KEY_MADE, "made")?;
        transaction.commit()?;
    }
    Ok(())
}
