//! Servers that tell who they are.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, UdpSocket},
    thread,
};

use anyhow::Result;

/// Answers TCP and UDP at an address with its text, until the process ends.
pub(crate) fn start(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    let socket = UdpSocket::bind(address)?;
    let text = address.to_string();
    let greeting = text.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A client that has gone does not matter.
            let _ = stream.write_all(greeting.as_bytes());
        }
    });
    thread::spawn(move || {
        let mut question = [0; 64];
        while let Ok((_, client)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(text.as_bytes(), client);
        }
    });
    Ok(())
}
