//! The macros, once with counting and once without.

/// Declares a point and gives its address. The static comes from a macro of another crate than
/// the one that it lands in, which is why crates that forbid `unsafe` may use it: the link section
/// that `linkme` asks for is `linkme`'s business.
#[cfg(feature = "sim")]
#[doc(hidden)]
#[macro_export]
macro_rules! point {
    ($kind:ident, $name:literal) => {{
        #[$crate::expansion::linkme::distributed_slice($crate::expansion::POINTS)]
        #[linkme(crate = $crate::expansion::linkme)]
        static POINT: $crate::Point = $crate::Point {
            kind: $crate::Kind::$kind,
            name: $name,
            file: ::core::file!(),
            line: ::core::line!(),
            module: ::core::module_path!(),
        };
        &POINT
    }};
}

/// A rare path that some run should take: `reachable!("an executor never registers")`.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! reachable {
    ($name:literal $(,)?) => {
        $crate::expansion::hit($crate::point!(Reachable, $name))
    };
}

/// A rare state that some run should be in when it comes here:
/// `sometimes!(queue.len() > 100, "more than 100 updates wait")`. The condition must not change
/// anything.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $name:literal $(,)?) => {{
        let point = $crate::point!(Sometimes, $name);
        let holds: bool = $condition;
        if holds {
            $crate::expansion::hit(point);
        }
    }};
}

/// A condition that must hold each time a run comes here:
/// `always!(used <= total, "what is used fits", used, total)`. The details after the name are
/// shown when it does not hold. The condition must not change anything.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! always {
    ($condition:expr, $name:literal $(, $detail:expr)* $(,)?) => {{
        let point = $crate::point!(Always, $name);
        let holds: bool = $condition;
        $crate::expansion::hit(point);
        if !holds {
            $crate::expansion::broken(point, &[$((::core::stringify!($detail), &$detail)),*]);
        }
    }};
}

/// A path that no run should take. Shadows the macro of the standard library on purpose: where
/// this one stands, a daemon goes on.
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! unreachable {
    ($name:literal $(, $detail:expr)* $(,)?) => {{
        let point = $crate::point!(Unreachable, $name);
        $crate::expansion::hit(point);
        $crate::expansion::broken(point, &[$((::core::stringify!($detail), &$detail)),*]);
    }};
}

/// A rare path that some run should take. Nothing without the feature `sim`.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! reachable {
    ($name:literal $(,)?) => {
        ()
    };
}

/// A rare state that some run should be in. Not evaluated without the feature `sim`.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $name:literal $(,)?) => {
        if false {
            let _: bool = $condition;
        }
    };
}

/// A condition that must hold. Not evaluated without the feature `sim`.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! always {
    ($condition:expr, $name:literal $(, $detail:expr)* $(,)?) => {
        if false {
            let _: bool = $condition;
            let _: &[&dyn ::core::fmt::Debug] = &[$(&$detail),*];
        }
    };
}

/// A path that nothing should take. Logs an error without the feature `sim`, and goes on.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! unreachable {
    ($name:literal $(, $detail:expr)* $(,)?) => {
        $crate::expansion::reached(
            $name,
            ::core::file!(),
            ::core::line!(),
            &[$((::core::stringify!($detail), &$detail)),*],
        )
    };
}
