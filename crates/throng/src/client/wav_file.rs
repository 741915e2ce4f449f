//! What `--out` keeps: a WAV file, or nothing where none was asked for; errors name the file.

use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use crate::sound_file::WavWriter;

/// The file of `--out`, if there is one.
pub(super) struct WavFile(Option<(PathBuf, WavWriter)>);

impl WavFile {
    /// Creates the file, or empties it.
    pub(super) fn create(path: Option<&Path>) -> Result<Self, Error> {
        let open = |path: &Path| match WavWriter::create(path) {
            Ok(writer) => Ok((path.to_owned(), writer)),
            Err(source) => Err(failed(path, source)),
        };
        path.map(open).transpose().map(Self)
    }

    /// Adds samples.
    pub(super) fn push(&mut self, samples: &[f32]) -> Result<(), Error> {
        let Some((path, writer)) = &mut self.0 else {
            return Ok(());
        };
        writer.push(samples).map_err(|source| failed(path, source))
    }

    /// Writes what is left.
    pub(super) fn finish(self) -> Result<(), Error> {
        let Some((path, writer)) = self.0 else {
            return Ok(());
        };
        writer.finish().map_err(|source| failed(&path, source))
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}
