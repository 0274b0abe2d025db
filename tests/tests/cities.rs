//! The two cities that the story plays in, before anybody has announced anything.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use testbed::{Cities, Namespace, World};

/// Whether a host answers at all: nobody listens, so it refuses a connection.
fn reaches(from: &Namespace, host: IpAddr) -> Result<bool> {
    let nobody = SocketAddr::new(host, 9);
    match from.enter(|| TcpStream::connect_timeout(&nobody, Duration::from_millis(1_500)))? {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(_) => Ok(false),
        Ok(_) => bail!("{nobody} takes connections"),
    }
}

#[test]
fn the_clients_of_both_cities_reach_the_hosts_of_both() -> Result<()> {
    let world = World::new()?;
    let cities = Cities::build(&world)?;
    for client in [&cities.sea.client, &cities.dfw.client] {
        for city in [&cities.sea, &cities.dfw] {
            let (v4, v6) = city.host_addresses();
            for host in [v4.into(), v6.into()] {
                ensure!(reaches(client, host)?, "{} to {host}", client.name());
            }
        }
    }
    Ok(())
}

#[test]
fn an_edge_that_is_cut_off_is_reached_by_nobody_until_it_is_connected_again() -> Result<()> {
    let world = World::new()?;
    let cities = Cities::build(&world)?;
    let (edge, _) = cities.sea.edge_addresses();
    let client = &cities.dfw.client;
    ensure!(reaches(client, edge.into())?, "before");
    cities.sea.cut_edge_off()?;
    ensure!(!reaches(client, edge.into())?, "a cut edge answers");
    cities.sea.reconnect_edge()?;
    ensure!(reaches(client, edge.into())?, "afterwards");
    Ok(())
}
