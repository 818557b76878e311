//! Chance that can be repeated.

use std::time::SystemTime;

/// Bytes that do not compress, always the same for one seed; an even seed gives what the odd one
/// after it does. Tests that expect sizes hang on these very bytes.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    Random(seed | 1).bytes(len)
}

/// Numbers that look random and are the same for the same seed (xorshift64).
pub struct Random(u64);

impl Random {
    /// Seeded by the variable `LIFEBOAT_TEST_SEED`, or else by the clock. The seed is printed,
    /// which the test runner shows when the test fails.
    pub fn from_environment() -> Self {
        let given = std::env::var("LIFEBOAT_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        println!("repeat with LIFEBOAT_TEST_SEED={seed}");
        Self::new(seed)
    }

    /// With this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 up to, but not including, `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit.max(1)
    }

    /// Bytes that do not compress.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// How many points to try: as many as the variable `LIFEBOAT_TEST_POINTS` says, or `few`.
    pub fn count(few: u64) -> u64 {
        let given = std::env::var("LIFEBOAT_TEST_POINTS").ok();
        given.map_or(few, |count| count.parse().unwrap())
    }

    /// Points to interrupt something that takes this many steps at, in no order: as many as
    /// [`Self::count`] says; each once, at most all there are.
    pub fn points(&mut self, few: u64, steps: u64) -> Vec<u64> {
        let mut all: Vec<u64> = (0..steps).collect();
        let count = Self::count(few).min(steps);
        (0..count)
            .map(|_| {
                let at = usize::try_from(self.below(all.len() as u64)).unwrap();
                all.swap_remove(at)
            })
            .collect()
    }
}
