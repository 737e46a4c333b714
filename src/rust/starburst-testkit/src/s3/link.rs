//! Connections: each can be closed or reset from outside, and all of them at once.
use super::{layer, state::State};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

/// What the requests of a connection know of it.
#[derive(Debug, Default)]
pub(super) struct Link {
    reset: AtomicBool,
    control: AtomicBool,
    close: Notify,
}

impl Link {
    /// The other end is told that something went wrong, not that this is the end.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
    }

    /// Whether its last request was for the test itself; such a one outlives the network.
    pub(super) fn set_control(&self, control: bool) {
        self.control.store(control, Ordering::SeqCst);
    }
}

/// Open connections.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<(u64, HashMap<u64, Arc<Link>>)>);

impl Links {
    fn open(&self) -> (u64, Arc<Link>) {
        let mut links = self.0.lock();
        links.0 += 1;
        let (number, link) = (links.0, Arc::new(Link::default()));
        links.1.insert(number, link.clone());
        (number, link)
    }

    fn forget(&self, number: u64) {
        self.0.lock().1.remove(&number);
    }

    /// Closes those that carry S3.
    pub(super) fn close_all(&self) {
        for link in self.0.lock().1.values() {
            if !link.control.load(Ordering::SeqCst) {
                link.close.notify_one();
            }
        }
    }
}

/// A connection that is reset when dropped if its link says so.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    link: Arc<Link>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.link.reset.load(Ordering::SeqCst) {
            // Without it the close is an ordinary one, which the client may not expect either.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper says goodbye before it drops the socket, and a reset must not be announced.
        if self.link.reset.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Serves until it is dropped, and its connections with it.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here is about that one connection.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                connections.spawn(connection(stream, state.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<State>) {
    state.tally.connection();
    let (number, link) = state.links.open();
    let socket = Socket { stream, link: link.clone() };
    let service = service_fn(|request| layer::answer(&state, &link, request));
    {
        let mut serving =
            pin!(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        tokio::select! {
            _ = &mut serving => {}
            () = link.close.notified() => {}
        }
    }
    state.links.forget(number);
}
