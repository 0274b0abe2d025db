//! A connection that stays: question after question to the same server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{Namespace, patient};

/// A client waits for an answer for so long; a lost segment is sent again meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open HTTP connection to an instance's server.
pub struct Connection {
    stream: BufReader<TcpStream>,
    /// The name that answered first.
    pub name: String,
}

impl Connection {
    /// Connects, and asks who is there.
    pub fn open(client: &Namespace, target: SocketAddr) -> Result<Connection> {
        let stream = client.enter(|| TcpStream::connect_timeout(&target, patient(PATIENCE)))??;
        stream.set_read_timeout(Some(patient(PATIENCE)))?;
        stream.set_nodelay(true)?;
        let mut connection = Connection {
            stream: BufReader::new(stream),
            name: String::new(),
        };
        connection.name = connection.ask()?;
        Ok(connection)
    }

    /// Asks again: the name that answers, or what became of the connection.
    pub fn ask(&mut self) -> Result<String> {
        let name = self.get("/")?;
        Ok(String::from_utf8_lossy(&name).trim_end().to_owned())
    }

    /// Has so many bytes sent by the server.
    pub fn download(&mut self, bytes: usize) -> Result<()> {
        let came = self.get(&format!("/bytes/{bytes}"))?.len();
        ensure!(came == bytes, "{came} of {bytes} bytes");
        Ok(())
    }

    fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.stream
            .get_mut()
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: vip\r\n\r\n").as_bytes())
            .context("cannot ask")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            let bytes = self.stream.read_line(&mut line).context("no answer")?;
            ensure!(bytes > 0, "the connection was closed");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().context("no length")?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .context("half an answer")?;
        Ok(body)
    }

    /// Asks again; the one who answered first must answer.
    pub fn ensure_alive(&mut self) -> Result<()> {
        let port = self.stream.get_ref().local_addr()?.port();
        let name = self
            .ask()
            .with_context(|| format!("the connection from port {port} to {}", self.name))?;
        ensure!(name == self.name, "{name} answers for {}", self.name);
        Ok(())
    }
}
