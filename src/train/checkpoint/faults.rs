//! Checkpoints on a disk that fails, fills up, or stops with the machine, at every operation of a save in turn.
//!
//! The disk is a model: names and contents as programs see them, and of these what outlasts a loss of power.

use super::{load, save_on};
use crate::data::Disk;
use crate::ir::{Data, Tensor};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A file: its contents, and how many of its bytes outlast a loss of power.
#[derive(Default)]
struct Inode {
    bytes: RefCell<Vec<u8>>,
    synced: Cell<usize>,
}

type Names = BTreeMap<PathBuf, Rc<Inode>>;

/// When something goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    Never,
    /// One operation fails, those after it do not.
    Once(usize),
    /// No byte can be written from this operation on.
    Full(usize),
    /// Nothing happens from this operation on: the process is gone.
    Dead(usize),
}

struct Model {
    /// As programs see it.
    names: RefCell<Names>,
    /// After each change of names since the folder was last synced, and when it was.
    since: RefCell<Vec<Names>>,
    fault: Cell<Fault>,
    done: Rc<Cell<usize>>,
}

struct Open {
    inode: Rc<Inode>,
    fault: Fault,
    done: Rc<Cell<usize>>,
}

/// Counts an operation; fails if it is to fail.
fn operate(fault: Fault, done: &Cell<usize>, writes: bool) -> io::Result<()> {
    let number = done.replace(done.get() + 1);
    match fault {
        Fault::Once(at) if number == at => Err(io::Error::other("the cable is loose")),
        Fault::Full(from) if writes && number >= from => Err(io::ErrorKind::StorageFull.into()),
        Fault::Dead(from) if number >= from => Err(io::Error::other("nobody hears this")),
        _ => Ok(()),
    }
}

impl Write for Open {
    /// A few bytes at a time, so that a file is cut at many places.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        const MOST: usize = 48;
        operate(self.fault, &self.done, true)?;
        let taken = &bytes[..bytes.len().min(MOST)];
        self.inode.bytes.borrow_mut().extend(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Model {
    fn new() -> Model {
        let since = RefCell::new(vec![Names::new()]);
        Model { names: RefCell::default(), since, fault: Cell::new(Fault::Never), done: Rc::default() }
    }

    fn operate(&self, writes: bool) -> io::Result<()> {
        operate(self.fault.get(), &self.done, writes)
    }

    fn change(&self, change: impl FnOnce(&mut Names)) {
        change(&mut self.names.borrow_mut());
        self.since.borrow_mut().push(self.names.borrow().clone());
    }

    /// What `path` can hold once power is back: the names at one of the moments since they were synced, and of the bytes that
    /// were not synced none, some or all, or zeros in their place.
    fn after_power_loss(&self, path: &Path) -> Vec<Option<Vec<u8>>> {
        let mut found = Vec::new();
        for names in &*self.since.borrow() {
            let Some(inode) = names.get(path) else {
                found.push(None);
                continue;
            };
            let (bytes, synced) = (inode.bytes.borrow(), inode.synced.get());
            for end in [synced, synced.midpoint(bytes.len()), bytes.len()] {
                found.push(Some(bytes[..end].to_vec()));
            }
            let mut zeros = bytes.clone();
            zeros[synced..].fill(0);
            found.push(Some(zeros));
        }
        found
    }
}

impl Disk for Model {
    type File = Open;

    fn create(&self, path: &Path) -> io::Result<Open> {
        self.operate(true)?;
        let inode = Rc::<Inode>::default();
        self.change(|names| {
            names.insert(path.to_owned(), inode.clone());
        });
        Ok(Open { inode, fault: self.fault.get(), done: self.done.clone() })
    }

    fn sync(&self, file: &Open) -> io::Result<()> {
        self.operate(false)?;
        file.inode.synced.set(file.inode.bytes.borrow().len());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(false)?;
        let inode = self.names.borrow().get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        self.change(|names| {
            names.remove(from);
            names.insert(to.to_owned(), inode);
        });
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.operate(false)?;
        *self.since.borrow_mut() = vec![self.names.borrow().clone()];
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(false)?;
        self.change(|names| {
            names.remove(path);
        });
        Ok(())
    }
}

fn tensors(value: f32) -> Vec<(String, Tensor)> {
    vec![("net.W".into(), Tensor { dims: vec![50], data: Data::F32(vec![value; 50]) })]
}

/// Which save the bytes are of; fails unless they are all of one.
fn saved(bytes: &[u8]) -> f32 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let (about, found): (f32, _) = load(&path).expect("neither the old checkpoint nor the new one");
    assert_eq!(found, tensors(about));
    about
}

const PATH: &str = "run/last.safetensors";

/// A disk with a checkpoint, after an attempt to save another; and what the attempt gave.
fn attempt(fault: Fault) -> (Model, Result<(), crate::source::Diagnostic>) {
    let disk = Model::new();
    save_on(&disk, Path::new(PATH), &1.0, &tensors(1.0)).unwrap();
    disk.done.set(0);
    disk.fault.set(fault);
    let result = save_on(&disk, Path::new(PATH), &2.0, &tensors(2.0));
    (disk, result)
}

fn operations() -> usize {
    attempt(Fault::Never).0.done.get()
}

#[test]
fn a_save_is_many_operations() {
    // Created, written in parts, synced, renamed, and the folder synced.
    assert!(operations() > 4 + 5, "{}", operations());
    let (disk, result) = attempt(Fault::Never);
    result.unwrap();
    for bytes in disk.after_power_loss(Path::new(PATH)) {
        assert_eq!(saved(&bytes.unwrap()), 2.0, "a save that has ended outlasts a loss of power");
    }
}

#[test]
fn a_failure_at_any_operation_leaves_the_old_or_the_new_checkpoint() {
    for k in 0..operations() {
        for fault in [Fault::Once(k), Fault::Full(k)] {
            let (disk, result) = attempt(fault);
            let names = disk.names.borrow();
            let there = saved(&names[Path::new(PATH)].bytes.borrow());
            match result {
                Ok(()) => assert!(matches!(fault, Fault::Full(_)) && there == 2.0, "{fault:?} is not told"),
                Err(error) => {
                    // Only the last operation comes after the new one is in place.
                    assert_eq!(there, if k + 1 == operations() { 2.0 } else { 1.0 }, "{fault:?}");
                    let reason = match fault {
                        Fault::Full(_) => "no space is left on the device",
                        _ => "the cable is loose",
                    };
                    assert_eq!(error.message, format!("{PATH} cannot be written: {reason}"));
                }
            }
            assert_eq!(names.len(), 1, "{fault:?} leaves a part of a checkpoint");
            for bytes in disk.after_power_loss(Path::new(PATH)) {
                saved(&bytes.unwrap());
            }
        }
    }
}

#[test]
fn the_end_of_the_process_or_of_power_at_any_operation_leaves_the_old_or_the_new_checkpoint() {
    let mut seen = Vec::new();
    for k in 0..=operations() {
        let (disk, _) = attempt(Fault::Dead(k));
        seen.push(saved(&disk.names.borrow()[Path::new(PATH)].bytes.borrow()));
        for bytes in disk.after_power_loss(Path::new(PATH)) {
            saved(&bytes.unwrap());
        }
    }
    assert!(seen.is_sorted() && seen[0] == 1.0 && seen.last() == Some(&2.0), "{seen:?}");
}
