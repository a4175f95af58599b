//! What the host and the guest know by a number: tasks, bodies, fetches, timers.
//!
//! A sorted list. There are seldom more than a few hundred, numbers mostly grow, and a tree's code would
//! be several times that of this one, once for each kind of value.

/// Values by their numbers.
pub struct Numbered<T> {
    numbers: Vec<u32>,
    values: Vec<T>,
}

impl<T> Numbered<T> {
    /// Without any.
    pub const fn new() -> Self {
        Self {
            numbers: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Puts a value in, and gives the one that it takes the place of.
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

    /// Takes a value out.
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

    /// The value of this number, to be changed.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let at = self.numbers.binary_search(&number).ok()?;
        self.values.get_mut(at)
    }

    /// Whether there is one of this number.
    pub fn contains(&self, number: u32) -> bool {
        self.numbers.binary_search(&number).is_ok()
    }
}
