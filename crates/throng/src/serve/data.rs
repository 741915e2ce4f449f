//! The data folder: one process owns it, and the operator's keys lie in it.

use std::fs;
use std::io;
use std::path::Path;

use throng_archive::DataLock;
use throng_core::key::Key;

use super::ServeError;
use crate::{chance, secret_file};

/// Creates the folder where it is absent, and takes it in the name of the process that an operator would stop.
pub(super) fn open(data: &Path, holder: u32) -> Result<DataLock, ServeError> {
    fs::create_dir_all(data).map_err(|source| ServeError::Data {
        path: data.to_owned(),
        source,
    })?;
    Ok(DataLock::acquire_for(data, holder)?)
}

/// A key of the operator: his own, or that of the feed; made where there is none.
pub(super) fn key(path: &Path) -> Result<Key, ServeError> {
    let wrong = |source| ServeError::Data {
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Ok(text) => Key::parse(text.trim()).map_err(|_| ServeError::Key(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = chance::key();
            secret_file::write_new(path, &key.expose()).map_err(wrong)?;
            Ok(key)
        }
        Err(error) => Err(wrong(error)),
    }
}
