//! Looking for a reload that is due, and making nothing on the way.

use super::{ConfigFile, target::Target};
use crate::error::WriteError;

impl ConfigFile {
    /// Whether an earlier process left a reload undone: what [`prepare`](Self::prepare) finds, without a staging directory
    /// being made.
    pub(crate) async fn is_reload_pending(&self) -> Result<bool, WriteError> {
        self.blocking(|disk| Ok(Target::behind(&disk.path)?.marker().exists())).await
    }
}
