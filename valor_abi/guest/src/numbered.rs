//! What the host and the guest identify by a number: tasks, bodies, fetches, timers.
//!
//! It is a sorted list. There are seldom more than a few hundred, and numbers mostly grow. A tree would need several
//! times the code, once for each kind of value.

/// Values by their numbers.
pub struct Numbered<T> {
    numbers: Vec<u32>,
    values: Vec<T>,
}

impl<T> Numbered<T> {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            numbers: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Inserts a value, and returns the one that it replaces.
    pub fn insert(&mut self, number: u32, value: T) -> Option<T> {
        match self.numbers.binary_search(&number) {
            Ok(at) => Some(std::mem::replace(&mut self.values[at], value)),
            Err(at) => {
                self.numbers.insert(at, number);
                self.values.insert(at, value);
                None
            }
        }
    }

    /// Removes a value.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let at = self.numbers.binary_search(&number).ok()?;
        self.numbers.remove(at);
        Some(self.values.remove(at))
    }

    /// The value of this number.
    pub fn get(&self, number: u32) -> Option<&T> {
        let at = self.numbers.binary_search(&number).ok()?;
        self.values.get(at)
    }

    /// The value of this number, mutably.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let at = self.numbers.binary_search(&number).ok()?;
        self.values.get_mut(at)
    }

    /// Whether there is one of this number.
    pub fn contains(&self, number: u32) -> bool {
        self.numbers.binary_search(&number).is_ok()
    }
}
