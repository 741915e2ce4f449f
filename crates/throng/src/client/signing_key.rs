//! The node's signing key: 32 secret bytes in `keys/signing.key` of its data folder, in base64, readable by its owner.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Error;
use crate::{chance, secret_file};

/// Length of an Ed25519 secret (RFC 8032, section 5.1.5).
const SECRET_BYTES: usize = 32;

/// The key of the node with this data folder; made where there is none.
pub(super) fn of_node(data: &Path) -> Result<[u8; SECRET_BYTES], Error> {
    let folder = data.join("keys");
    let path = folder.join("signing.key");
    let failed = |source| Error::File {
        path: path.clone(),
        source,
    };
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).ok_or_else(|| failed(io::Error::other("not a signing key"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut folders = DirBuilder::new();
            folders
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(failed)?;
            let secret = chance::secret();
            secret_file::write_new(&path, &STANDARD.encode(secret)).map_err(failed)?;
            Ok(secret)
        }
        Err(error) => Err(failed(error)),
    }
}

fn parse(text: &str) -> Option<[u8; SECRET_BYTES]> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = of_node(&data).unwrap();
        assert_eq!(of_node(&data).unwrap(), first);
        let path = data.join("keys/signing.key");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&data.join("keys"))), (0o600, 0o700));
        fs::write(&path, "nonsense").unwrap();
        assert!(matches!(of_node(&data), Err(Error::File { .. })));
    }
}
