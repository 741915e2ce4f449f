//! A line between two processes of a node: one document of JSON and the sockets that belong to it, over a Unix socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Sockets that travel together; the kernel takes 253.
const TOGETHER: usize = 64;
/// Longest document: an order has some 2 KB, an estate some 100 bytes for each process. What is longer is refused.
const DOCUMENT_MAX_BYTES: usize = 256 << 10;
/// Most sockets: 256 workers with one each, and 255 threads of one. More are refused.
const SOCKETS_MAX: usize = 2_048;

/// Sends a document, which has no line break, and sockets.
pub(super) fn send(line: impl AsFd, document: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    // Sockets travel with bytes: white space, which means nothing before a document.
    for some in sockets.chunks(TOGETHER) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(some));
        sendmsg(
            &line,
            &[IoSlice::new(b" ")],
            &mut control,
            SendFlags::NOSIGNAL,
        )?;
    }
    let whole = [document, b"\n"].concat();
    let mut rest = &whole[..];
    while !rest.is_empty() {
        rest = &rest[rustix::net::send(&line, rest, SendFlags::NOSIGNAL)?..];
    }
    Ok(())
}

/// Receives what [`send`] sends.
pub(super) fn receive(line: impl AsFd) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut document, mut sockets) = (Vec::new(), Vec::new());
    while document.last() != Some(&b'\n') {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let into = &mut [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&line, into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                sockets.extend(some);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        document.extend_from_slice(&bytes[..received.bytes]);
        if document.len() > DOCUMENT_MAX_BYTES || sockets.len() > SOCKETS_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok((document, sockets))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_document_comes_with_all_its_sockets_in_their_order() {
        for count in [0, 1, TOGETHER, TOGETHER + 1, 200] {
            let (here, there) = UnixStream::pair().unwrap();
            let sockets: Vec<_> = (0..count)
                .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
                .collect();
            let ports = |socket: &TcpListener| socket.local_addr().unwrap();
            let sent: Vec<_> = sockets.iter().map(ports).collect();
            let document = "x".repeat(100_000);
            let given: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            send(&here, document.as_bytes(), &given).unwrap();
            let (read, taken) = receive(&there).unwrap();
            assert_eq!(read.trim_ascii(), document.as_bytes());
            let taken: Vec<_> = taken.into_iter().map(|fd| ports(&fd.into())).collect();
            assert_eq!(taken, sent);
            drop(here);
            assert!(receive(&there).is_err(), "nobody is there any more");
        }
    }
}
