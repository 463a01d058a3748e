//! Opening data files with limits, and replacing files whole.
//!
//! A reader never starts on something that is not a regular file (a device may have no end), and unless it streams never on
//! a file that is larger than the memory available. A writer leaves the old file or the new one, never a part of either.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::error::{DataError, Place, Problem};
use crate::runtime::memory;

/// Opens a regular file that fits into memory; also gives its length in bytes.
pub(super) fn open(path: &Path) -> Result<(File, u64), DataError> {
    let (file, bytes) = open_any(path)?;
    if let Some(available) = memory::available_bytes()
        && bytes > available
    {
        return Err(Place::file(path).fail(Problem::TooLarge { bytes, available }));
    }
    Ok((file, bytes))
}

/// Opens a regular file of any length, which it also gives.
pub(super) fn open_any(path: &Path) -> Result<(File, u64), DataError> {
    let unreadable = |error: io::Error| {
        let similar = if error.kind() == io::ErrorKind::NotFound { neighbour(path) } else { None };
        Place::file(path).fail(Problem::Unreadable { reason: describe(&error), similar })
    };
    // Asked before opening: opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Place::file(path).fail(Problem::NotAFile));
    }
    Ok((File::open(path).map_err(unreadable)?, metadata.len()))
}

/// The whole of a regular file.
pub fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let (file, length) = open(path)?;
    let mut bytes = Vec::with_capacity(length as usize);
    // The limit holds if the file grows meanwhile.
    file.take(length).read_to_end(&mut bytes).map_err(|error| failed(path, &error))?;
    Ok(bytes)
}

/// Fails if so many elements of a size do not fit into the memory available. What a file of some kilobytes claims is
/// not worth asking for.
pub(super) fn room(path: &Path, count: usize, size: usize) -> Result<(), DataError> {
    const ASKED_FROM: u64 = 1 << 20;
    let bytes = (count as u64).saturating_mul(size as u64);
    if bytes < ASKED_FROM {
        return Ok(());
    }
    match memory::available_bytes() {
        Some(available) if bytes > available => Err(Place::file(path).fail(Problem::TooLarge { bytes, available })),
        _ => Ok(()),
    }
}

/// The error for a file that opened but could not be read to its end.
pub(super) fn failed(path: &Path, error: &io::Error) -> DataError {
    Place::file(path).fail(Problem::Unreadable { reason: describe(error), similar: None })
}

/// The operations by which a file is replaced, apart from each other so that each can be made to fail.
pub trait Disk {
    type File: Write;
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Returns once the contents outlast a loss of power.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns once the names in a folder outlast a loss of power.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Disk for Machine {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Only Unix can open a folder.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Writes a file beside `path`, syncs it and renames it into place.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), DataError> {
    replace_on(&Machine, path, write)
}

/// As [`replace`], on a disk.
pub fn replace_on<D: Disk>(
    disk: &D,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let result = write_synced(disk, &partial, write).and_then(|()| disk.rename(&partial, path)).and_then(|()| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        disk.sync_folder(folder.unwrap_or(Path::new(".")))
    });
    result.map_err(|error| {
        // Nothing is there to remove if the rename has happened.
        let _ = disk.remove(&partial);
        Place::file(path).fail(Problem::Unwritable { reason: describe(&error) })
    })
}

fn write_synced<D: Disk>(
    disk: &D,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(disk.create(path)?);
    write(&mut writer)?;
    let file = writer.into_inner().map_err(|error| error.into_error())?;
    disk.sync(&file)
}

/// A file in the same folder whose name is close to that of a missing one.
fn neighbour(path: &Path) -> Option<String> {
    const MOST: usize = 1000;
    let name = path.file_name()?.to_str()?;
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).ok()?.take(MOST);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let similar = crate::source::closest(name, names.iter().map(String::as_str))?;
    let similar: PathBuf = path.with_file_name(similar);
    Some(similar.display().to_string())
}

/// The operating system's reason, without its number.
pub fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::UnexpectedEof => "it ends too early".into(),
        io::ErrorKind::IsADirectory => "this is a folder".into(),
        io::ErrorKind::NotADirectory => "a file is in the way, where there should be a folder".into(),
        io::ErrorKind::AlreadyExists => "there is something of this name already".into(),
        io::ErrorKind::StorageFull => "no space is left on the device".into(),
        io::ErrorKind::QuotaExceeded => "the quota of the disk is used up".into(),
        io::ErrorKind::FileTooLarge => "the file would be too large".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.npy");
        replace(&path, |out| out.write_all(b"old")).unwrap();
        let error = replace(&path, |out| {
            out.write_all(b"new, but")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(error.unwrap_err().message(), "the file cannot be written: the disk is full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_and_devices_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap_err().message(), "the data file is not a regular file");
        if cfg!(unix) {
            assert_eq!(read(Path::new("/dev/zero")).unwrap_err().message(), "the data file is not a regular file");
        }
    }

    #[test]
    fn a_missing_file_names_a_close_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("digits.csv"), "a").unwrap();
        let error = read(&folder.path().join("digit.csv")).unwrap_err();
        assert!(error.help().unwrap().ends_with("digits.csv`?"), "{:?}", error.help());
    }
}
