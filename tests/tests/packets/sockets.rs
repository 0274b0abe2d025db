//! Sockets of an instance, and packets that they know.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use anyhow::Result;

use crate::agent::Site;
use crate::errors::{KINDS, KINDS_V6, about};
use crate::frame::{IP, PORT, Packet, put};

/// A listener, and a connection to it from within.
pub(crate) struct Sockets {
    listener: TcpListener,
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
}

impl Sockets {
    pub(crate) fn open(site: &Site, address: &str) -> Result<Sockets> {
        let address = SocketAddr::new(address.parse::<IpAddr>()?, PORT);
        let listener = site.instance.enter(|| TcpListener::bind(address))??;
        Sockets::connected(site, listener)
    }

    /// The same listener, and another connection.
    pub(crate) fn another(&self, site: &Site) -> Result<Sockets> {
        Sockets::connected(site, self.listener.try_clone()?)
    }

    fn connected(site: &Site, listener: TcpListener) -> Result<Sockets> {
        let address = listener.local_addr()?;
        let client = site.instance.enter(|| TcpStream::connect(address))??;
        let (server, _) = listener.accept()?;
        Ok(Sockets {
            listener,
            client,
            server,
        })
    }

    /// A router's error about a segment that the VIP has sent.
    pub(crate) fn error(&self, vip: &str, client_port: u16) -> Result<Vec<u8>> {
        let client = self.client.local_addr()?.ip().to_string();
        Ok(error_about(vip, &client, client_port, 0x0102_0304))
    }

    /// A segment of the connection.
    pub(crate) fn segment(&self, vip: &str) -> Result<Packet> {
        let client = self.client.local_addr()?;
        let packet = Packet::tcp(vip).ports(client.port(), PORT);
        Ok(packet.from(&client.ip().to_string()))
    }

    /// Has the server send more than the client has room for, so that its end does not arrive.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        self.server.set_nonblocking(true)?;
        loop {
            match self.server.write(&[0; 1 << 16]) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.server.set_nonblocking(false)
    }
}

/// A router's error about a segment with this sequence number that the VIP has sent, quoted to its ports and that number
/// only.
pub(crate) fn error_about(vip: &str, client: &str, client_port: u16, sequence: u32) -> Vec<u8> {
    let sent = Packet::tcp(client).from(vip).ports(PORT, client_port);
    let (kind, header) = match client.contains(':') {
        true => (KINDS_V6[1], 40),
        false => (KINDS[1], 20),
    };
    let sent = put(sent.frame(), IP + header + 4, &sequence.to_be_bytes());
    about(kind, vip, &sent[IP..], header + 8)
}
