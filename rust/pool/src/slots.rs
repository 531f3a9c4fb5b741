//! Numbers of transactions: a dense one for each that waits, used again when it has left. They are linked in the order
//! in which they came, so that the oldest is known.

#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// The sender's number.
    pub(crate) queue: u32,
    pub(crate) nonce: u64,
    since_ms: u64,
    before: u32,
    after: u32,
}

const NOBODY: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
}

impl Default for Slots {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), oldest: NOBODY, newest: NOBODY }
    }
}

impl Slots {
    pub(crate) fn get(&self, id: u32) -> Slot {
        self.slots[id as usize]
    }

    /// How many there were at most: tables by number do not shrink below that.
    pub(crate) fn len_max(&self) -> usize {
        self.slots.len()
    }

    /// When the oldest came.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        (self.oldest != NOBODY).then(|| self.get(self.oldest).since_ms)
    }

    /// A number for a transaction that comes now.
    pub(crate) fn take(&mut self, queue: u32, nonce: u64, since_ms: u64) -> u32 {
        let slot = Slot { queue, nonce, since_ms, before: self.newest, after: NOBODY };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("fewer than four billion transactions wait")
            }
        };
        match self.newest {
            NOBODY => self.oldest = id,
            newest => self.slots[newest as usize].after = id,
        }
        self.newest = id;
        id
    }

    /// Gives a number back.
    pub(crate) fn give(&mut self, id: u32) {
        let Slot { before, after, .. } = self.get(id);
        match before {
            NOBODY => self.oldest = after,
            before => self.slots[before as usize].after = after,
        }
        match after {
            NOBODY => self.newest = before,
            after => self.slots[after as usize].before = before,
        }
        self.free.push(id);
    }

    /// All numbers, the oldest first.
    pub(crate) fn by_age(&self) -> impl Iterator<Item = u32> {
        let some = |id: u32| (id != NOBODY).then_some(id);
        std::iter::successors(some(self.oldest), move |id| some(self.get(*id).after))
    }
}
