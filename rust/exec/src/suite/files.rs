//! Files of tests, wherever they lie: a file, a folder with everything below it, or a tar archive, plain or packed
//! with gzip or xz. What a file is, its first bytes tell and not its name.
//!
//! Files are handed over one after the other, so that of an archive no more than one is held here. Names are those in
//! the archive, or the path below the folder; a folder is read in the order of its names, an archive as it was written.
//!
//! Needs nothing of its crate: tests of the rooms below take it in by its path.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    ops::ControlFlow::{self, Break, Continue},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;

/// Bytes of one file at most; the largest of the public tests has 67 MB.
pub const FILE_BYTES_MAX: u64 = 512 << 20;

/// Folders below folders, at most: a loop of links ends here.
const DEPTH_MAX: usize = 64;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFile {
    /// Its path in the archive or below the folder; the path itself where that was asked for.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
    /// It was asked for by its own path, and was not found in a folder or archive.
    pub named: bool,
}

/// Why a path cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Unreadable {
    /// Which file, folder or archive.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Hands over each wanted file at or below the path, until `each` breaks off.
///
/// # Errors
/// At the first that cannot be read; those before it were handed over.
pub fn read(
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
    each: &mut dyn FnMut(TestFile) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Unreadable> {
    let failed = |error: io::Error| unreadable(path, &error);
    if path.is_dir() {
        return walk(path, path, DEPTH_MAX, wanted, each);
    }
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let start = file.fill_buf().map_err(failed)?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return unpack(path, MultiGzDecoder::new(file), wanted, each);
    }
    if start.starts_with(b"\xfd7zXZ\0") {
        return unpack(path, XzDecoder::new_multi_decoder(file), wanted, each);
    }
    // The only magic of tar stands far behind its first name.
    if start.get(257..262) == Some(b"ustar") {
        return unpack(path, file, wanted, each);
    }
    let bytes = whole(file).map_err(failed)?;
    Ok(each(TestFile { name: path.display().to_string(), bytes, named: true }))
}

fn walk(
    root: &Path,
    folder: &Path,
    depth: usize,
    wanted: &dyn Fn(&str) -> bool,
    each: &mut dyn FnMut(TestFile) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Unreadable> {
    if depth == 0 {
        return Err(unreadable(folder, &io::Error::other(format!("more than {DEPTH_MAX} folders deep"))));
    }
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries: Vec<_> = entries.map_err(|error| unreadable(folder, &error))?;
    entries.sort_unstable();
    for path in entries {
        let step = if path.is_dir() {
            walk(root, &path, depth - 1, wanted, each)?
        } else {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            if !wanted(&name) {
                continue;
            }
            let bytes = File::open(&path).and_then(whole).map_err(|error| unreadable(&path, &error))?;
            each(TestFile { name, bytes, named: false })
        };
        if step.is_break() {
            return Ok(step);
        }
    }
    Ok(Continue(()))
}

fn unpack(
    path: &Path,
    packed: impl Read,
    wanted: &dyn Fn(&str) -> bool,
    each: &mut dyn FnMut(TestFile) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Unreadable> {
    let failed = |error: io::Error| unreadable(path, &error);
    let mut archive = tar::Archive::new(packed);
    for entry in archive.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.path().map_err(failed)?.to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() || !wanted(&name) {
            continue;
        }
        let bytes = whole(entry).map_err(failed)?;
        if each(TestFile { name, bytes, named: false }).is_break() {
            return Ok(Break(()));
        }
    }
    Ok(Continue(()))
}

fn whole(file: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("a file of more than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Unreadable {
    Unreadable { path: path.display().to_string(), reason: error.to_string() }
}
