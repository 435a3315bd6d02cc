//! What was read and can never change: git objects, kept in memory up to a weight.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Values by key. When the newer half is full the older half is forgotten, except for what was asked for since.
pub(super) struct Kept<K, V> {
    /// Weight of each half.
    half: usize,
    halves: Mutex<Halves<K, V>>,
}

struct Halves<K, V> {
    newer: BTreeMap<K, (V, usize)>,
    older: BTreeMap<K, (V, usize)>,
    /// Of the newer half.
    weight: usize,
}

impl<K: Ord + Clone, V: Clone> Kept<K, V> {
    /// Keeps values of at most this weight together.
    pub fn new(limit: usize) -> Self {
        let halves = Halves { newer: BTreeMap::new(), older: BTreeMap::new(), weight: 0 };
        Self { half: limit / 2, halves: Mutex::new(halves) }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((value, _)) = halves.newer.get(key) {
            return Some(value.clone());
        }
        let (value, weight) = halves.older.remove(key)?;
        halves.put(key.clone(), value.clone(), weight, self.half);
        Some(value)
    }

    /// Keeps the value, unless it alone is too heavy.
    pub fn put(&self, key: K, value: V, weight: usize) {
        if weight <= self.half {
            self.halves.lock().unwrap_or_else(PoisonError::into_inner).put(key, value, weight, self.half);
        }
    }
}

impl<K: Ord, V> Halves<K, V> {
    fn put(&mut self, key: K, value: V, weight: usize, half: usize) {
        if self.weight + weight > half {
            self.older = std::mem::take(&mut self.newer);
            self.weight = 0;
        }
        if let Some((_, before)) = self.newer.insert(key, (value, weight)) {
            self.weight -= before;
        }
        self.weight += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let kept = Kept::new(20);
        for n in 0..100 {
            kept.put(n, n, 1);
            assert_eq!(kept.get(&0), Some(0), "asked for all the time");
        }
        let left = (0..100).filter(|n| kept.get(n).is_some()).count();
        assert!((10..=20).contains(&left), "{left}");
        assert_eq!((kept.get(&99), kept.get(&50)), (Some(99), None));
    }

    #[test]
    fn a_value_that_is_too_heavy_is_not_kept() {
        let kept = Kept::new(20);
        kept.put("light", (), 1);
        kept.put("heavy", (), 11);
        assert_eq!((kept.get(&"heavy"), kept.get(&"light")), (None, Some(())));
    }
}
