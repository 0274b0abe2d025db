//! The drivers and floors in the kernel.

use anyhow::{Context, Result};
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{ProgramFd, Xdp, XdpMode};
use aya::{Ebpf, TestRun, TestRunAttrs, TestRunOptions};
use balancer_common::bench::{Drive, STRIDE};

/// The object of drivers and floors, and the index of the interface that frames come in by.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    drive: Array<MapData, Drive>,
    driven: ProgramArray<MapData>,
    stamps: Array<MapData, u64>,
    arrived: Array<MapData, u64>,
    ingress: u32,
}

/// What came of driving a program.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// Nanoseconds a packet, of each stride.
    pub(crate) ns: Vec<f64>,
    /// The last packet's verdict, and its frame's length.
    pub(crate) verdict: u32,
    pub(crate) length: usize,
    /// What the driver kept.
    pub(crate) drive: Drive,
}

/// What came of sending live frames.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Nanoseconds a packet, of each stride, there and back.
    pub(crate) ns: Vec<f64>,
    /// Packets that came back, as long as they should be and otherwise.
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    /// What the driver kept.
    pub(crate) drive: Drive,
}

impl Kernel {
    /// Loads them in the network namespace of the calling thread.
    pub(crate) fn load(ingress: u32) -> Result<Kernel> {
        let mut ebpf =
            Ebpf::load(testbed_programs::BENCH_OBJECT).context("cannot create the bench's maps")?;
        for (name, program) in ebpf.programs_mut() {
            let program: &mut Xdp = program.try_into()?;
            program
                .load()
                .with_context(|| format!("cannot load the bench's program `{name}`"))?;
        }
        let drive = ebpf.take_map("DRIVE").context("no map DRIVE")?;
        let driven = ebpf.take_map("DRIVEN").context("no map DRIVEN")?;
        let stamps = ebpf.take_map("STAMPS").context("no map STAMPS")?;
        let arrived = ebpf.take_map("ARRIVED").context("no map ARRIVED")?;
        Ok(Kernel {
            arrived: arrived.try_into()?,
            drive: drive.try_into()?,
            driven: driven.try_into()?,
            stamps: stamps.try_into()?,
            ebpf,
            ingress,
        })
    }

    /// Drives `program` from now on.
    pub(crate) fn put(&mut self, program: &ProgramFd) -> Result<()> {
        self.driven
            .set(0, program, 0)
            .context("cannot drive the program: is it one of XDP without fragments?")
    }

    /// Drives one of the floors from now on.
    pub(crate) fn put_floor(&mut self, floor: &str) -> Result<()> {
        let floor = program(&self.ebpf, floor)?.fd()?;
        self.driven.set(0, floor, 0).context("cannot drive a floor")
    }

    /// Drives so many packets, at least two strides.
    pub(crate) fn run(
        &mut self,
        driver: &str,
        drive: &Drive,
        frame: &[u8],
        packets: u32,
    ) -> Result<Ran> {
        self.drive.set(0, drive, 0)?;
        let driver = program(&self.ebpf, driver)?;
        let mut out = [0; 512];
        let result = driver.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context(self.ingress, frame.len())),
            repeat: packets,
            ..TestRunOptions::default()
        })?;
        Ok(Ran {
            ns: self.strides(packets)?,
            verdict: result.return_value,
            length: result.data_size_out as usize,
            drive: self.drive.get(&0, 0)?,
        })
    }

    /// Attaches one of the bench's programs to an interface of the calling thread's namespace, for as long as this lives.
    pub(crate) fn attach(&mut self, name: &str, interface: &str) -> Result<()> {
        let program = self.ebpf.program_mut(name);
        let program: &mut Xdp = program
            .with_context(|| format!("the bench has no program `{name}`"))?
            .try_into()?;
        program
            .attach(interface, XdpMode::Driver)
            .with_context(|| format!("cannot attach `{name}` to {interface}"))?;
        Ok(())
    }

    /// Sends so many live frames out of the interface of this index, and waits for none: they come back meanwhile, on this CPU.
    pub(crate) fn send(
        &mut self,
        driver: &str,
        drive: &Drive,
        frame: &[u8],
        packets: u32,
        interface: u32,
    ) -> Result<Sent> {
        let length = i64::from(drive.length) + i64::from(drive.growth);
        // A live frame is as it was when it is driven again.
        let drive = Drive {
            growth: 0,
            ..*drive
        };
        self.drive.set(0, drive, 0)?;
        for (index, value) in [length as u64, 0, 0].into_iter().enumerate() {
            self.arrived.set(index as u32, value, 0)?;
        }
        let driver = program(&self.ebpf, driver)?;
        driver.test_run(TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(&context(interface, frame.len())),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(64),
            ..TestRunOptions::default()
        })?;
        Ok(Sent {
            ns: self.strides(packets)?,
            right: self.arrived.get(&1, 0)?,
            wrong: self.arrived.get(&2, 0)?,
            drive: self.drive.get(&0, 0)?,
        })
    }

    /// Nanoseconds a packet, of each stride of the run of so many packets that is over.
    fn strides(&self, packets: u32) -> Result<Vec<f64>> {
        let stamps = 0..packets / STRIDE;
        let stamps: Vec<u64> = stamps
            .map(|stamp| self.stamps.get(&stamp, 0))
            .collect::<Result<_, _>>()?;
        let ns = |pair: &[u64]| (pair[1] - pair[0]) as f64 / f64::from(STRIDE);
        Ok(stamps.windows(2).map(ns).collect())
    }
}

fn program<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a Xdp> {
    let program = ebpf.program(name);
    let program = program.with_context(|| format!("the bench has no program `{name}`"))?;
    Ok(program.try_into()?)
}

/// `struct xdp_md` for a frame without metadata.
fn context(ingress: u32, length: usize) -> Vec<u8> {
    [0, length as u32, 0, ingress, 0, 0]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect()
}
