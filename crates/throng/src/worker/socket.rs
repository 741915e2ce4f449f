//! The origin's local socket, `feed.sock` in the data folder: for the workers beside it, and for nobody else.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use throng_air::accept;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

const NAME: &str = "feed.sock";
/// Connections at once: the workers' lines and what they fetch. More wait in the backlog.
const CONNECTIONS_MAX: usize = 4_096;
/// Longest path that the kernel takes (108 bytes with its end), and a little room.
const PATH_MAX_BYTES: usize = 100;
/// Pause after `accept` fails for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Takes the socket over from an origin that is gone; whoever calls holds the lock of the folder.
pub(crate) fn bind(data: &Path) -> io::Result<UnixListener> {
    let (_folder, path) = short(data)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

pub(super) async fn connect(data: &Path) -> io::Result<UnixStream> {
    let (_folder, path) = short(data)?;
    UnixStream::connect(path).await
}

/// Serves until `closing` turns true.
pub(crate) async fn serve(
    listener: UnixListener,
    routes: Router,
    mut closing: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut closing) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (routes, closing) = (routes.clone(), closing.clone());
                tokio::spawn(async move {
                    accept::requests_passed_on(stream, routes, closing).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a worker's connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // A sender that is gone will not open again either.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// A path to the socket that the kernel takes, however long that of the folder is, and what it needs to stay valid.
fn short(data: &Path) -> io::Result<(Option<File>, PathBuf)> {
    let path = data.join(NAME);
    if path.as_os_str().len() <= PATH_MAX_BYTES {
        return Ok((None, path));
    }
    let folder = File::open(data)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(NAME);
    Ok((Some(folder), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_deep_down_has_a_socket_too_and_a_dead_one_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [dir.path().to_owned(), dir.path().join("deep".repeat(40))] {
            fs::create_dir_all(&folder).unwrap();
            drop(bind(&folder).unwrap());
            let listener = bind(&folder).unwrap();
            let (accepted, connected) = tokio::join!(listener.accept(), connect(&folder));
            assert!(accepted.is_ok() && connected.is_ok());
            let mode = fs::metadata(folder.join(NAME))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
