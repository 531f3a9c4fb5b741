//! Fixed places for what lives for a while. Taking and giving back a place are O(1), nothing grows after the start, and a
//! name from before a place was given back finds nothing.

/// Names a place as long as it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// A fixed number of places.
#[derive(Debug)]
pub struct Arena<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

impl<T> Arena<T> {
    /// So many places, all free.
    pub fn new(capacity: u32) -> Self {
        Self {
            entries: (0..capacity).map(|_| Entry { generation: 0, value: None }).collect(),
            free: (0..capacity).rev().collect(),
        }
    }

    /// How many places there are.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// How many places are taken.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether no place is taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no place is free.
    pub fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// Takes a place; gives the value back where none is free.
    pub fn acquire(&mut self, value: T) -> Result<Place, T> {
        let Some(index) = self.free.pop() else { return Err(value) };
        let entry = &mut self.entries[index as usize];
        entry.value = Some(value);
        Ok(Place { index, generation: entry.generation })
    }

    /// Gives a place back.
    pub fn release(&mut self, place: Place) -> Option<T> {
        let entry = self.entries.get_mut(place.index as usize).filter(|entry| entry.generation == place.generation)?;
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(place.index);
        Some(value)
    }

    /// What stands there.
    pub fn get(&self, place: Place) -> Option<&T> {
        self.entries.get(place.index as usize).filter(|entry| entry.generation == place.generation)?.value.as_ref()
    }

    /// What stands there, to be changed.
    pub fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.entries.get_mut(place.index as usize).filter(|entry| entry.generation == place.generation)?.value.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_arena_gives_the_value_back_and_an_old_name_finds_nothing() {
        let mut arena = Arena::new(2);
        let first = arena.acquire('a').unwrap();
        let second = arena.acquire('b').unwrap();
        assert_eq!(arena.acquire('c'), Err('c'));
        assert!(arena.is_full());
        assert_eq!(arena.release(first), Some('a'));
        assert_eq!(arena.release(first), None);
        let third = arena.acquire('d').unwrap();
        assert_eq!((arena.get(first), arena.get(second), arena.get(third)), (None, Some(&'b'), Some(&'d')));
        assert_eq!(arena.len(), 2);
    }
}
