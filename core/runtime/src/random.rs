//! Entropy, and a generator for machines that must replay.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The port to entropy.
pub trait Random: Send + Sync {
    /// Fills `bytes` with unpredictable bytes (in simulation: with bytes that follow from the
    /// seed).
    fn fill(&self, bytes: &mut [u8]);

    /// A generator of its own stream, seeded from this port.
    fn generator(&self) -> Generator {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Generator::from_seed(seed)
    }
}

/// A reproducible stream of random values. State machines own one instead of reaching for entropy,
/// so the same seed and inputs always lead to the same outputs.
#[derive(Clone, Debug)]
pub struct Generator(ChaCha8Rng);

impl Generator {
    /// A stream that `seed` determines.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A stream that a small number determines; for tests.
    pub fn from_number(number: u64) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        Self::from_seed(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product is uniform up to one part in 2^64.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `[0, 1)`.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 16 random bytes marked as a version 4 UUID (RFC 9562).
    pub fn uuid(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }

    /// A random UUID in its 36-character text form.
    pub fn uuid_text(&mut self) -> String {
        format_uuid(&self.uuid())
    }

    /// Puts `items` into a random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// The 36-character text form of a UUID (RFC 9562, lower case).
pub fn format_uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(mut generator: Generator) -> Vec<u64> {
        (0..100).map(|_| generator.next_u64()).collect()
    }

    #[test]
    fn a_seed_determines_its_stream() {
        assert_eq!(stream(Generator::from_number(1)), stream(Generator::from_number(1)));
        assert_ne!(stream(Generator::from_number(1)), stream(Generator::from_number(2)));
        // Recorded runs replay only as long as this never changes.
        let mut generator = Generator::from_number(7);
        assert_eq!(generator.next_u64(), 14_095_323_943_061_994_099);
        let copy = generator.clone();
        assert_eq!(stream(generator), stream(copy));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut generator = Generator::from_number(3);
        assert_eq!(generator.below(0), 0);
        assert_eq!(generator.below(1), 0);
        let mut seen = [0_u32; 6];
        for _ in 0..6000 {
            seen[usize::try_from(generator.below(6)).unwrap()] += 1;
            assert!((0.0..1.0).contains(&generator.fraction()));
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }

    #[test]
    fn uuids_are_marked_as_random_ones() {
        let mut generator = Generator::from_number(4);
        for _ in 0..100 {
            let bytes = generator.uuid();
            assert_eq!(bytes[6] >> 4, 4, "version");
            assert_eq!(bytes[8] >> 6, 0b10, "variant");
        }
        let text = generator.uuid_text();
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255];
        assert_eq!(format_uuid(&bytes), "00010203-0405-0607-0809-0a0b0c0dfeff");
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..100).collect();
        Generator::from_number(5).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        Generator::from_number(5).shuffle::<u32>(&mut []);
    }
}
