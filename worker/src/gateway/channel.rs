//! A socket between two processes that carries JSON packets and open descriptors.
//!
//! Sequential packets keep their borders, so nothing is framed or buffered here; a packet that does not fit whole
//! is an error, never a half message.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdDatagram;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType,
};
use serde::Serialize;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The largest packet. A host map of a thousand names fits; the kernel's default send buffer holds it.
const MAX_PACKET_BYTES: usize = 96 * 1024;

/// An `open` order brings two descriptors; nothing brings more.
const MAX_DESCRIPTORS: usize = 2;

/// One end of the connection.
#[derive(Debug)]
pub(super) struct Channel {
    /// Only lends its readiness: tokio has no type for sequential packets, and this one keeps borders as well.
    socket: UnixDatagram,
}

/// A packet as it came.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Two connected ends, closed when another program is executed.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

impl Channel {
    /// Takes one end over. Must be called inside the runtime.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdDatagram::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self { socket: UnixDatagram::from_std(socket)? })
    }

    /// Sends one message, with copies of the descriptors.
    pub(super) async fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = packed(message)?;
        let attempt = || send_packet(self.socket.as_fd(), &bytes, descriptors);
        self.socket.async_io(Interest::WRITABLE, attempt).await
    }

    /// Sends one message if there is room for it right now.
    pub(super) fn send_now<T: Serialize>(&self, message: &T) -> io::Result<()> {
        send_packet(self.socket.as_fd(), &packed(message)?, &[])
    }

    /// The next packet; `None` when the other end is closed. Nothing is lost when the future is dropped.
    pub(super) async fn receive(&self) -> io::Result<Option<Packet>> {
        self.socket.async_io(Interest::READABLE, || receive_packet(self.socket.as_fd())).await
    }

    /// Tells the other end that nothing more will be sent.
    pub(super) fn finish(&self) -> io::Result<()> {
        Ok(rustix::net::shutdown(&self.socket, Shutdown::Write)?)
    }
}

fn packed<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_PACKET_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the message has {} bytes; at most {MAX_PACKET_BYTES} can be sent", bytes.len()),
        ));
    }
    Ok(bytes)
}

fn send_packet(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    // The space is rounded up and may hold more than the other side expects.
    let fits = descriptors.len() <= MAX_DESCRIPTORS;
    if !fits || !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors in one message"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive_packet(socket: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
    let mut bytes = vec![0; MAX_PACKET_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    // Collected first: descriptors that are not wanted must be closed too.
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message was cut short"));
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    bytes.truncate(received.bytes);
    Ok(Some(Packet { bytes, descriptors }))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    fn connected() -> (Channel, Channel) {
        let (left, right) = pair().expect("a socket pair");
        (Channel::new(left).expect("an end"), Channel::new(right).expect("an end"))
    }

    #[tokio::test]
    async fn a_message_arrives_whole_and_with_its_descriptors() {
        let (left, right) = connected();
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        left.send(&"first", &[writer.as_fd(), writer.as_fd()]).await.expect("sent");
        left.send(&"second", &[]).await.expect("sent");
        drop(writer);

        let first = right.receive().await.expect("received").expect("a packet");
        assert_eq!(first.bytes, b"\"first\"");
        let mut descriptors = first.descriptors.into_iter().map(std::fs::File::from);
        descriptors.next().expect("a descriptor").write_all(b"through").expect("written");
        drop(descriptors);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("every writing end is closed");
        assert_eq!(text, "through");
        let second = right.receive().await.expect("received").expect("a packet");
        assert!(second.descriptors.is_empty());
    }

    #[tokio::test]
    async fn a_closed_end_is_the_end_and_a_finished_one_still_hears() {
        let (left, right) = connected();
        left.finish().expect("finished");
        assert!(right.receive().await.expect("received").is_none());
        right.send(&1, &[]).await.expect("the other direction is open");
        assert!(left.receive().await.expect("received").is_some());
        drop(right);
        assert!(left.receive().await.expect("received").is_none());
        assert!(left.send_now(&1).is_err());
    }

    #[tokio::test]
    async fn a_message_with_too_many_bytes_or_descriptors_is_not_sent() {
        let (left, _right) = connected();
        let error = left.send(&"x".repeat(MAX_PACKET_BYTES), &[]).await.expect_err("too large");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let file = std::fs::File::open("/dev/null").expect("a file");
        let many = [file.as_fd(), file.as_fd(), file.as_fd()];
        assert!(left.send(&1, &many).await.is_err());
    }
}
