//! Questions about addresses.

use super::{Client, Error};
use crate::{
    api::ipam::{Release, Reserve},
    ipam::{Allocation, PoolStatus, Problem},
};

impl Client {
    /// How the pools are doing.
    pub async fn pools(&self) -> Result<Vec<PoolStatus>, Error> {
        self.get("/v1/ipam/pools", &()).await
    }

    /// All addresses that are not free.
    pub async fn allocations(&self) -> Result<Vec<Allocation>, Error> {
        self.get("/v1/ipam/addresses", &()).await
    }

    /// Lets addresses go. Returns what they were.
    pub async fn release_addresses(&self, release: &Release) -> Result<Vec<Allocation>, Error> {
        self.post("/v1/ipam/release", release).await
    }

    /// Keeps an address for an owner.
    pub async fn reserve_address(&self, reserve: &Reserve) -> Result<Allocation, Error> {
        self.post("/v1/ipam/reserve", reserve).await
    }

    /// Compares allocations with endpoints.
    pub async fn check_addresses(&self) -> Result<Vec<Problem>, Error> {
        self.get("/v1/ipam/check", &()).await
    }
}
