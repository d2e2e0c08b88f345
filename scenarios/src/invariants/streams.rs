//! Streams (S24 and S28 of the catalogue): what a master has told a framework on its event stream,
//! the framework has heard, the first event after a new subscription included. Looked at when all
//! is at rest: every offer that is open in the master then is one that its framework knows. Mesos'
//! bugs of the kind: MESOS-9000, MESOS-9022, MESOS-5576.

use super::offers::Offers;

/// Whether frameworks know of each of the open offers.
///
/// # Errors
/// The first that its framework has not heard of.
pub fn check<'a>(
    offers: &Offers,
    open: impl IntoIterator<Item = &'a String>,
) -> Result<(), String> {
    match open.into_iter().find(|id| !offers.is_known(id)) {
        None => Ok(()),
        Some(id) => Err(format!("offer {id} is open, and its framework has not heard of it")),
    }
}
