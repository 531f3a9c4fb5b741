//! The folder that a store lives in: who writes there, and whether the last writer left in order.
//!
//! `writer.lock` is held (never read) for as long as a writer's store is open, `writer.pid` says whose it is;
//! `readers.lock` is shared by all who read beside it; `unsynced` stands there while a writer without durability is at
//! work.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use state::LedgerError;

pub(crate) fn io_error(action: &'static str, path: &Path, error: &io::Error) -> LedgerError {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            LedgerError::Full { path }
        }
        _ => LedgerError::Io { action, path, reason: error.to_string() },
    }
}

/// A lock on the folder: held until dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
}

/// Unlocked, and not only closed: a child process that another thread starts at this moment shares the open file until
/// it executes its program, and would go on holding the lock for us.
impl Drop for FolderLock {
    fn drop(&mut self) {
        // Where it fails, closing the file unlocks it a little later.
        let _ = self.file.unlock();
    }
}

impl FolderLock {
    /// One process writes. Makes the folder where it is missing.
    pub(crate) fn writer(folder: &Path) -> Result<Self, LedgerError> {
        fs::create_dir_all(folder).map_err(|error| io_error("create", folder, &error))?;
        let pid = folder.join("writer.pid");
        let holder = || fs::read_to_string(&pid).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let lock = Self::take(folder, "writer.lock", File::try_lock, holder)?;
        fs::write(&pid, std::process::id().to_string()).map_err(|error| io_error("write", &pid, &error))?;
        Ok(lock)
    }

    /// Many read beside it. None where the folder cannot be written to at all: nobody will replace the file there.
    pub(crate) fn reader(folder: &Path) -> Result<Option<Self>, LedgerError> {
        match Self::take(folder, "readers.lock", File::try_lock_shared, || 0) {
            Err(LedgerError::Io { action: "open", .. }) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Nobody reads beside the writer: asked by a writer who wants to replace the file.
    pub(crate) fn no_readers(folder: &Path) -> Result<Self, LedgerError> {
        Self::take(folder, "readers.lock", File::try_lock, || 0)
    }

    fn take(
        folder: &Path,
        name: &str,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
        holder: impl FnOnce() -> u32,
    ) -> Result<Self, LedgerError> {
        let path = folder.join(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| io_error("open", &path, &error))?;
        match lock(&file) {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                Err(LedgerError::InUse { path: folder.display().to_string(), pid: holder() })
            }
            Err(TryLockError::Error(error)) => Err(io_error("lock", &path, &error)),
        }
    }
}

/// The mark of a writer that doesn't sync.
#[derive(Debug)]
pub(crate) struct UnsyncedMark {
    path: PathBuf,
}

impl UnsyncedMark {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join("unsynced") }
    }

    /// Leaves the mark, on the disk before anything else is.
    pub(crate) fn set(&self) -> Result<(), LedgerError> {
        let write = || {
            let mut file = File::create(&self.path)?;
            file.write_all(boot().as_bytes())?;
            file.sync_all()?;
            sync_folder(self.path.parent().expect("a file in a folder"))
        };
        write().map_err(|error: io::Error| io_error("write", &self.path, &error))
    }

    pub(crate) fn clear(&self) -> Result<(), LedgerError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &self.path, &error)),
            _ => Ok(()),
        }
    }

    /// Whether a writer without durability did not end in order.
    pub(crate) fn is_set(&self) -> bool {
        self.path.exists()
    }

    /// Whether the machine itself has ended since, so that what was not synced may be gone. (A process that dies
    /// leaves its writes to the system, which finishes them.) True where that cannot be told.
    pub(crate) fn machine_ended_since(&self) -> bool {
        let boot = boot();
        boot.is_empty() || fs::read_to_string(&self.path).map_or(true, |left| left != boot)
    }
}

/// A name for the time since the machine started; empty where the system has none.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Whether a file of this folder could not grow by `bytes` beyond `length`. LMDB calls a write that was cut short an
/// input/output error; this tells a full disk from a broken one, by trying.
pub(crate) fn has_no_room(folder: &Path, length: u64, bytes: usize) -> bool {
    let path = folder.join("probe");
    let probe = || {
        let mut file = File::create(&path)?;
        // The disk's room first, then (behind a hole, which takes none) the limit of a file's length.
        file.write_all(&vec![0; bytes])?;
        file.seek(io::SeekFrom::Start(length + bytes as u64))?;
        file.write_all(&[0])?;
        file.sync_all()
    };
    let outcome = probe();
    let _ = fs::remove_file(&path);
    outcome.is_err_and(|error| matches!(io_error("write", &path, &error), LedgerError::Full { .. }))
}

/// Makes new and renamed files of a folder last.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Windows opens no folders, and needs no such thing.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_free_even_where_the_open_file_lives_on() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::writer(folder.path()).unwrap();
        let shared = lock.file.try_clone().unwrap();
        assert!(matches!(FolderLock::writer(folder.path()), Err(LedgerError::InUse { .. })));
        drop(lock);
        assert!(FolderLock::writer(folder.path()).is_ok());
        drop(shared);
    }
}
