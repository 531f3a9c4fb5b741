//! Whatever fails or ends, at whatever point: the store opens again at a whole commit, and nothing that was
//! acknowledged is lost.

mod kills;
mod world;
mod writer;

use std::{
    env,
    ops::Bound,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use execlayer_store::{Batch, Durability, Entry, Family, Kv, Lmdb, Memory, Options, Snapshot, Stat, Store};
use state::{Ledger, LedgerError};
use types::Bytes;

use crate::{
    kills::kills,
    world::{Dice, dump, steps_of},
    writer::{Script, Writer, acknowledged, options},
};

/// In a test run.
const KILLS: u64 = 120;

type Rows = Vec<(Family, Bytes, Bytes)>;

/// The script at every step, in memory: what a store must hold there.
struct Model {
    script: Script,
    store: Store,
}

impl Model {
    fn new() -> Self {
        Self { script: Script::new(), store: Store::memory() }
    }

    fn at(&mut self, step: u64) -> Rows {
        assert!(step >= self.script.world.steps, "an earlier commit came back");
        while self.script.world.steps < step {
            self.store.commit(self.script.next()).unwrap();
        }
        dump(&self.store)
    }
}

/// A store that fails at its n-th operation and at every one after it, as a disk does that goes away.
struct Failing {
    kv: Arc<dyn Kv>,
    left: Arc<AtomicUsize>,
    /// Whether the write that fails has been done all the same, its acknowledgement being what is lost.
    after: bool,
}

struct FailingSnapshot {
    snapshot: Arc<dyn Snapshot>,
    left: Arc<AtomicUsize>,
}

fn operate(left: &AtomicUsize) -> Result<(), LedgerError> {
    let counted = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    counted.map(drop).map_err(|_| LedgerError::Io { action: "reach", path: "disk".into(), reason: "gone".into() })
}

impl Kv for Failing {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, LedgerError> {
        operate(&self.left)?;
        Ok(Arc::new(FailingSnapshot { snapshot: self.kv.snapshot()?, left: self.left.clone() }))
    }

    fn write(&self, batch: Batch) -> Result<(), LedgerError> {
        let outcome = operate(&self.left);
        if outcome.is_ok() || self.after {
            self.kv.write(batch)?;
        }
        outcome
    }

    fn sync(&self) -> Result<(), LedgerError> {
        operate(&self.left)?;
        self.kv.sync()
    }

    fn stat(&self) -> Result<Stat, LedgerError> {
        operate(&self.left)?;
        self.kv.stat()
    }
}

impl Snapshot for FailingSnapshot {
    fn version(&self) -> u64 {
        self.snapshot.version()
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        operate(&self.left)?;
        self.snapshot.get(family, key)
    }

    fn page(
        &self,
        family: Family,
        start: Bound<&[u8]>,
        until: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, LedgerError> {
        operate(&self.left)?;
        self.snapshot.page(family, start, until, limit)
    }
}

/// Runs the script with a failure at operation `n`; returns whether it came to the end. What is there afterwards, seen
/// by a store that is opened anew, must be a whole commit; with the same store reads must agree with it.
fn fails_at(n: usize, kv: &Arc<dyn Kv>, after: bool) -> bool {
    const STEPS: u64 = 12;
    let left = Arc::new(AtomicUsize::new(n));
    let failing = Arc::new(Failing { kv: kv.clone(), left: left.clone(), after });
    let mut script = Script::new();
    let mut done = 0;
    let run = || {
        let store = Store::over(failing, Path::new("failing"), &Options::default())?;
        while script.world.steps < STEPS {
            let outcome = store.commit(script.next());
            if outcome.is_err() {
                // The disk is back: what the store says now, cache and all, is what is there.
                left.store(usize::MAX, Ordering::SeqCst);
                let fresh = Store::over(kv.clone(), Path::new("fresh"), &Options::default()).unwrap();
                let (seen, there) = (store.reader().unwrap(), fresh.reader().unwrap());
                for address in (0..200).map(world::address) {
                    assert_eq!(seen.account(&address), there.account(&address));
                }
            }
            outcome?;
            done += 1;
        }
        Ok::<_, LedgerError>(())
    };
    let finished = run().is_ok();
    let store = Store::over(kv.clone(), Path::new("reopened"), &Options::default()).unwrap();
    let step = steps_of(&store);
    assert!(step == done || (after && step == done + 1), "{done} acknowledged, {step} there, failing at {n}");
    assert_eq!(dump(&store), Model::new().at(step), "failing at {n}");
    finished
}

#[test]
fn a_failure_at_any_operation_leaves_a_whole_commit() {
    for after in [false, true] {
        let finished = (0..).find(|n| fails_at(*n, &(Arc::new(Memory::default()) as Arc<dyn Kv>), after));
        assert!(finished.unwrap() > 30, "the script has many operations");
    }
}

#[test]
fn a_failure_at_any_operation_leaves_a_whole_commit_on_disk() {
    let durabilities = [Durability::Full, Durability::Batched, Durability::None].into_iter().cycle();
    for (n, durability) in (0..).step_by(3).zip(durabilities) {
        let folder = tempfile::tempdir().unwrap();
        let kv: Arc<dyn Kv> = Arc::new(Lmdb::open(folder.path(), options(durability)).unwrap());
        if fails_at(n, &kv, n % 2 == 0) {
            return;
        }
        let rows = {
            let store = Store::over(kv.clone(), folder.path(), &options(durability)).unwrap();
            kv.sync().unwrap();
            dump(&store)
        };
        drop(kv);
        assert_eq!(dump(&Store::open(folder.path(), options(Durability::Full)).unwrap()), rows);
    }
}

/// A process that commits in a loop is killed after some acknowledgements and some further microseconds.
fn kill_writers(durability: Durability, rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(durability as u64);
    let mut model = Model::new();
    for round in 0..rounds {
        let mut writer = Writer::start(folder.path(), durability);
        // One in eight dies while it opens.
        let mut last = 0;
        if dice.below(8) > 0 {
            assert_eq!(writer.answer().as_deref(), Some("opened"), "round {round}");
            writer.tell("run");
            for _ in 0..dice.below(4) {
                last = acknowledged(&writer.answer().unwrap()).unwrap();
            }
        }
        // Not to wait for anything: the end must come at any point of what is going on.
        let pause = Instant::now() + Duration::from_micros(dice.below(6_000));
        while Instant::now() < pause {
            std::hint::spin_loop();
        }
        last = writer.kill().unwrap_or(last);
        let store = Store::open(folder.path(), options(Durability::Full)).unwrap();
        let step = steps_of(&store);
        if durability != Durability::Batched {
            assert!(step >= last, "step {last} was acknowledged, {step} is there after round {round}");
        }
        assert_eq!(dump(&store), model.at(step), "round {round}");
        assert_eq!(store.check().unwrap().faults, [], "round {round}");
    }
    assert!(model.script.world.steps > rounds / 8, "hardly anything was written: {}", model.script.world.steps);
}

#[test]
fn a_killed_writer_leaves_whole_commits_and_all_it_acknowledged() {
    kill_writers(Durability::Full, kills(KILLS));
}

#[test]
fn a_killed_writer_that_does_not_sync_leaves_all_it_acknowledged_too() {
    kill_writers(Durability::None, kills(KILLS) / 4);
}

/// What a full disk must look like from outside and afterwards.
fn assert_full((last, reason): (u64, String), folder: &Path) {
    assert!(reason.starts_with("failed no space left in"), "{reason}");
    assert!(last > 3, "only {last} steps had room");
    let store = Store::open(folder, options(Durability::Full)).unwrap();
    assert_eq!(steps_of(&store), last);
    assert_eq!(dump(&store), Model::new().at(last));
}

/// The system's limit for the size of a file stands for a full disk: writes fail in the same way, at the same places.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_may_not_grow_is_a_clear_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("bash");
    let script = r#"trap '' XFSZ; ulimit -f 1500; exec "$0" "$@""#;
    command.args(["-c", script]).arg(env::current_exe().unwrap());
    let mut writer = Writer::start_by(command, folder.path(), Durability::Full);
    assert_eq!(writer.answer().as_deref(), Some("opened"));
    let end = writer.fill();
    writer.end();
    assert_full(end, folder.path());
}

/// A small file system in memory, where the system lets us mount one.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_clear_error_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut command = Command::new("unshare");
    // What is left on the small disk is copied out of it before the process that sees it ends.
    let script = r#"mount -t tmpfs -o size=1500k none "$0" && "$@"; cp -r "$0" "$0.kept""#;
    command.args(["-rm", "sh", "-c", script]).arg(&disk).arg(env::current_exe().unwrap());
    let mut writer = Writer::start_by(command, &disk, Durability::Full);
    if writer.answer().as_deref() != Some("opened") {
        return eprintln!("skipped: no file system may be mounted here");
    }
    let end = writer.fill();
    writer.end();
    assert_full(end, &folder.path().join("disk.kept"));
}
