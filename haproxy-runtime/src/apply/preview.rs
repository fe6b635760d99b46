//! What would be done, without doing it.

use super::Applier;
use crate::{
    error::WriteError,
    file::Text,
    live::{Course, Preview},
};

impl Applier {
    /// What [`apply`](Self::apply) would do with this text now, if its pace permitted. Reads the file, and changes nothing: not even
    /// the staging directory is made.
    ///
    /// # Errors
    /// The file can't be read.
    pub async fn preview(&self, text: &str) -> Result<Preview, WriteError> {
        let (before, marked) = match &self.file {
            Some(file) => (file.read().await?, file.is_reload_pending().await?),
            None => (None, false),
        };
        let mut preview = Preview::new(before, text.to_owned());
        let write = self.file.is_some() && !preview.keeps_file();
        let told = self.told.as_ref().is_some_and(|told| *told == Text::from(text));
        let reload = self.reloads() && (write || marked || self.pending || (self.file.is_none() && !told));
        preview.course = match (reload, write) {
            (true, _) => Course::Reload,
            (false, true) => Course::ReloadByOthers,
            (false, false) => Course::Nothing,
        };
        Ok(preview)
    }

    /// Whether reloading is this program's.
    pub(crate) fn reloads(&self) -> bool {
        self.reload.is_some()
    }
}
