//! The record of a run: a chain of hashes over every event, and the lines if they are wanted.

use std::time::Duration;

use crate::line::Line;

/// Where an event happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    /// A host, or a process of it when the number is not 0.
    Host { index: u32, name: &'a str, process: u32 },
    /// Something that the scenario or the world itself did.
    Named(&'a str),
}

/// A chain of hashes. The function is fixed: it must give the same on every machine and build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain(u64);

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Chain {
    /// The chain that nothing was added to.
    pub(crate) const fn new(start: u64) -> Self {
        Self(start ^ MULTIPLIER)
    }

    /// Adds a number: the two halves of a 128-bit product, folded.
    pub(crate) fn number(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ ((product >> 64) as u64).rotate_left(29) ^ value;
    }

    /// Adds bytes and their number.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut value = [0; 8];
            value.copy_from_slice(word);
            self.number(u64::from_le_bytes(value));
        }
        let rest = words.remainder();
        let mut value = [0; 8];
        value[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(value) ^ ((bytes.len() as u64) << 56));
        self.number(bytes.len() as u64);
    }

    /// The hash of all that was added, in order.
    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

/// The record of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    chain: Chain,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty record that keeps lines if `keep` says so.
    pub(crate) fn new(seed: u64, keep: bool) -> Self {
        Self { chain: Chain::new(seed), events: 0, lines: keep.then(Vec::new) }
    }

    /// Adds one event. `numbers` are what tells it from others of its kind and go into the hash;
    /// `text` is only built when lines are kept.
    pub(crate) fn record(
        &mut self,
        time: u64,
        node: Node<'_>,
        kind: &str,
        numbers: &[u64],
        text: impl FnOnce() -> String,
    ) {
        self.events += 1;
        self.chain.number(time);
        match node {
            Node::Host { index, process, .. } => {
                self.chain.number((u64::from(index) << 32) | u64::from(process));
            }
            Node::Named(name) => self.chain.bytes(name.as_bytes()),
        }
        self.chain.bytes(kind.as_bytes());
        for number in numbers {
            self.chain.number(*number);
        }
        self.remark(time, node, kind, text);
    }

    /// Adds a line alone: neither an event nor part of the hash, so that a run that keeps lines is
    /// the same as one that does not.
    pub(crate) fn remark(
        &mut self,
        time: u64,
        node: Node<'_>,
        kind: &str,
        text: impl FnOnce() -> String,
    ) {
        let Some(lines) = &mut self.lines else { return };
        let (host, process) = match node {
            Node::Host { name, process, .. } => (name, process),
            Node::Named(name) => (name, 0),
        };
        let (time, text) = (Duration::from_nanos(time), text());
        lines.push(Line { time, host, process, kind, text: &text }.to_string());
    }

    /// Events so far.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// The hash so far.
    pub(crate) const fn hash(&self) -> u64 {
        self.chain.value()
    }

    /// Takes the kept lines out.
    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(bytes: &[&[u8]]) -> u64 {
        let mut chain = Chain::new(1);
        for part in bytes {
            chain.bytes(part);
        }
        chain.value()
    }

    #[test]
    fn the_chain_depends_on_order_content_and_boundaries() {
        assert_ne!(hash(&[b"a", b"b"]), hash(&[b"b", b"a"]));
        assert_ne!(hash(&[b"ab", b""]), hash(&[b"a", b"b"]));
        assert_ne!(hash(&[b"a"]), hash(&[b"a\0"]));
        assert_eq!(hash(&[b"12345678", b"9"]), hash(&[b"12345678", b"9"]));
    }

    #[test]
    fn remarks_are_lines_but_no_events() {
        let mut trace = Trace::new(7, true);
        let hash = trace.hash();
        trace.remark(1, Node::Named("master"), "log", || "text".to_owned());
        assert_eq!((trace.hash(), trace.events()), (hash, 0));
        assert_eq!(trace.take_lines().len(), 1);
    }

    #[test]
    fn lines_do_not_change_the_hash() {
        let record = |keep| {
            let mut trace = Trace::new(7, keep);
            trace.record(1, Node::Named("world"), "cut", &[1, 2], || "a b".to_owned());
            (trace.hash(), trace.take_lines().len())
        };
        assert_eq!(record(false).0, record(true).0);
        assert_eq!((record(false).1, record(true).1), (0, 1));
    }
}
