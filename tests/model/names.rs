//! Names that follow from what they name: worlds that differ in names alone are one.

/// The index of a worker, a container or a job, or the name of an entry.
pub(crate) type Id = u8;

/// Where each of the old places has gone.
pub(crate) fn inverse(order: &[usize]) -> Vec<Id> {
    let mut place = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old] = new as Id;
    }
    place
}
