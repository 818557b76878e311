//! Memory that devices read into and write from directly.

use std::ops::{Deref, DerefMut};

/// Size of a page of the kernel's cache on the machines Lifeboat runs on, bytes. No device in
/// use has larger blocks.
pub const PAGE: usize = 4096;

/// Bytes that begin at a multiple of [`PAGE`] in memory, as direct reading and writing
/// (`O_DIRECT`, open(2)) wants them. Its memory only ever grows and stays initialised, so that
/// using it again costs nothing.
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    memory: Vec<u8>,
    /// Where in `memory` the bytes start.
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// Makes it `len` bytes long. The bytes are then whatever a former use left there.
    pub fn set_len(&mut self, len: usize) {
        if self.capacity() < len {
            self.memory = vec![0; len.saturating_add(PAGE)];
            let start = self.memory.as_ptr().align_offset(PAGE);
            self.start = if start < PAGE { start } else { 0 };
        }
        self.len = len;
    }

    /// The length it can take without new memory, in bytes.
    pub fn capacity(&self) -> usize {
        self.memory.len().saturating_sub(PAGE)
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(self.start..self.start + self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_at_every_length_and_keeps_its_memory() {
        let mut buffer = AlignedBuffer::default();
        assert!(buffer.is_empty());
        for len in [1, 4095, 4096, 70_000, 3, 70_000] {
            buffer.set_len(len);
            assert_eq!((buffer.len(), buffer.as_ptr().align_offset(PAGE)), (len, 0));
            buffer.fill(7);
        }
        assert_eq!(buffer.capacity(), 70_000);
    }
}
