//! Clocks that run fast or slow, jump and ring late.

use std::time::Duration;

use orrery_runtime_sim::{Ahead, ClockFault};

use super::Kind;

pub(super) const KINDS: &[Kind] = &[
    ("drift", |draw| {
        let host = draw.place().to_string();
        let drift = draw.number(0, 1_000) as i64 - 500;
        draw.add(ClockFault::Drift { host, drift });
    }),
    ("clock", |draw| {
        let host = draw.place().to_string();
        let hour = 3_600_000_000_000;
        let ahead = Ahead(draw.number(0, 2 * hour) as i64 - hour as i64);
        draw.add(ClockFault::Step { host, ahead });
    }),
    ("timer-slack", |draw| {
        let host = draw.place().to_string();
        let slack = Duration::from_millis(draw.number(1, 1_000));
        draw.add(ClockFault::Coalesce { host, slack });
    }),
];
