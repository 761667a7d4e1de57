//! Finds queued rows of which Redis has no entry, and adds it: Redis may have lost what was acknowledged, and programs may
//! write rows without telling it.

use std::sync::Arc;

use super::producer::Producer;
use crate::store::Store;

/// One look.
pub(super) async fn reconcile(store: &Store, producer: &Arc<Producer>) {
    let _ = (store, producer);
    todo!("supervisor")
}
