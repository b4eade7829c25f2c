//! Removes expired grants until none is left, for keyrings that don't do so themselves. One per user and authority.

use crate::client::Device;
use crate::client::error::Error;
use crate::client::grant_store::reap;
use crate::files::{open_lock, own_directory, try_lock};

pub fn run(device: &Device) -> Result<u8, Error> {
    own_directory(&device.places.run)?;
    let path = device.places.run.join(format!("reaper-{}.lock", device.authority.id()));
    let lock = open_lock(&path)?;
    if try_lock(&lock, &path)? {
        reap(device.grant_store()?, &device.clock)?;
    }
    Ok(0)
}
