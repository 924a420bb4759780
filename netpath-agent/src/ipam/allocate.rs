//! Choosing addresses for an attachment.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Ipam,
    allocation::{Allocation, Changes, Claim, Holder},
    error::Error,
    pool::Pool,
};
use crate::pod::{GivenAddress, PodId};

/// What an attachment wants: one address for each family that its pools or its requested addresses
/// have.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The attachment.
    pub id: &'a PodId,
    /// The pools by name, in order of preference; none: the default ones.
    pub pools: &'a [String],
    /// The owner whose fixed addresses they are.
    pub owner: Option<&'a str>,
    /// Addresses that must be the ones, at most one for each family.
    pub requested: &'a [IpAddr],
    /// Addresses that the node uses beside the pools: its own, and endpoints' that were given.
    pub taken: &'a dyn Fn(IpAddr) -> bool,
}

/// What an attachment got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its addresses, IPv4 first.
    pub addresses: Vec<GivenAddress>,
    /// What to write.
    pub changes: Changes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn has(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }
}

impl Ipam {
    /// Gives an attachment its addresses, all or none. What it has already it keeps: after a
    /// conflict, the same request again replaces only what was lost.
    pub fn allocate(&mut self, request: &Request<'_>, now: u64) -> Result<Grant, Error> {
        self.expire(now);
        let pools = self.candidates(request)?;
        let mut chosen = Vec::with_capacity(2);
        for family in [Family::V4, Family::V6] {
            chosen.extend(self.choose(request, family, &pools, now)?);
        }
        for address in &chosen {
            self.attach(*address, request, now);
        }
        let addresses = chosen.into_iter().map(|address| self.given(address)).collect();
        Ok(Grant { addresses, changes: self.rows.changes() })
    }

    /// The pools to choose from, by index.
    fn candidates(&self, request: &Request<'_>) -> Result<Vec<usize>, Error> {
        if !request.pools.is_empty() {
            return request.pools.iter().map(|name| self.pool_named(name)).collect();
        }
        let default = |(index, pool): (usize, &Pool)| pool.spec.default.then_some(index);
        let pools: Vec<usize> = self.pools.iter().enumerate().filter_map(default).collect();
        if pools.is_empty() && request.requested.is_empty() {
            return Err(Error::NoDefault);
        }
        Ok(pools)
    }

    fn pool_named(&self, name: &str) -> Result<usize, Error> {
        self.pools.iter().position(|pool| pool.spec.name == name).ok_or_else(|| {
            let known: Vec<_> = self.pools.iter().map(|pool| pool.spec.name.as_str()).collect();
            Error::NoPool { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The address of one family, or none where nothing asks for one.
    fn choose(
        &self,
        request: &Request<'_>,
        family: Family,
        pools: &[usize],
        now: u64,
    ) -> Result<Option<IpAddr>, Error> {
        let requested = single(request.requested, family)?;
        let has = self.rows.of_attachment(request.id).find(|address| family.has(*address));
        if let Some(has) = has {
            return match requested {
                Some(requested) if requested != has => {
                    Err(Error::OtherAddress { id: request.id.clone(), has, requested })
                }
                _ => Ok(Some(has)),
            };
        }
        let of_family = |index: &&usize| family.has(self.pools[**index].spec.subnet.addr());
        let pools: Vec<usize> = pools.iter().filter(of_family).copied().collect();
        if let Some(address) = requested {
            return self.check_requested(address, request, now).map(Some);
        }
        if let Some(owner) = request.owner
            && let Some(row) = self.claimed(owner, &pools)
        {
            return check_claimed(owner, row, request, now).map(Some);
        }
        if pools.is_empty() {
            return Ok(None);
        }
        let free = pools.iter().find_map(|index| self.pools[*index].next(request.taken));
        free.map(Some).ok_or_else(|| self.exhausted(&pools, now))
    }

    /// The fixed address of an owner in the first of these pools that has one.
    fn claimed(&self, owner: &str, pools: &[usize]) -> Option<&Allocation> {
        pools.iter().find_map(|index| {
            let name = &self.pools[*index].spec.name;
            self.rows.of_owner(owner).find(|row| row.pool.as_ref() == Some(name))
        })
    }

    fn check_requested(
        &self,
        address: IpAddr,
        request: &Request<'_>,
        now: u64,
    ) -> Result<IpAddr, Error> {
        let pool = self.pool_of(address)?;
        let name = &pool.spec.name;
        if !request.pools.is_empty() && !request.pools.contains(name) {
            return Err(Error::OtherPool { address, pool: name.clone() });
        }
        if let Some(owner) = request.owner {
            self.check_second_claim(address, owner, name)?;
        }
        if let Some(row) = self.rows.get(address) {
            return match &row.claim {
                Some(claim) if Some(claim.owner.as_str()) == request.owner => {
                    check_claimed(&claim.owner, row, request, now)
                }
                _ => Err(taken(row, now)),
            };
        }
        if (request.taken)(address) { Err(Error::InUse(address)) } else { Ok(address) }
    }

    /// An owner has one address in a pool: else it would be chance which one it gets again.
    pub(super) fn check_second_claim(
        &self,
        address: IpAddr,
        owner: &str,
        pool: &str,
    ) -> Result<(), Error> {
        let mut claims = self.rows.of_owner(owner);
        match claims.find(|row| row.pool.as_deref() == Some(pool) && row.address != address) {
            Some(row) => Err(Error::OwnerHas {
                owner: owner.to_owned(),
                address: row.address,
                pool: pool.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn attach(&mut self, address: IpAddr, request: &Request<'_>, now: u64) {
        let holder = Holder::Attached { id: request.id.clone() };
        let old = self.rows.get(address);
        if old.is_some_and(|row| row.holder == holder) {
            return;
        }
        let fresh = |owner: &str| Claim {
            owner: owner.to_owned(),
            seconds: self.settings.fixed_ttl(),
            since: now,
        };
        let claim = old.and_then(|row| row.claim.clone()).or_else(|| request.owner.map(fresh));
        let was_next = old.is_none() && !request.requested.contains(&address);
        let pool = self.pool_index(address).map(|index| {
            let pool = &mut self.pools[index];
            if was_next {
                pool.pass(address);
            }
            pool.spec.name.clone()
        });
        self.put(Allocation { address, pool, holder, claim, since: now });
    }

    fn exhausted(&self, pools: &[usize], now: u64) -> Error {
        let helps = |address| pools.iter().any(|index| self.pools[*index].is_for_anybody(address));
        let next = self.rows.deadlines().find(|(_, address)| helps(*address));
        Error::Exhausted {
            pools: pools.iter().map(|index| self.pools[*index].status().clone()).collect(),
            next_free_in: next.map(|(until, _)| until.saturating_sub(now)),
        }
    }

    /// An address with what a pod must know about its subnet.
    fn given(&self, address: IpAddr) -> GivenAddress {
        match self.pool_index(address) {
            Some(index) => {
                let spec = &self.pools[index].spec;
                let length = spec.subnet.prefix_len();
                // The length is one of this family already.
                let address = IpNet::new(address, length).unwrap_or_else(|_| address.into());
                GivenAddress { address, gateway: spec.gateway }
            }
            None => GivenAddress { address: address.into(), gateway: None },
        }
    }
}

/// The only address of a family.
fn single(addresses: &[IpAddr], family: Family) -> Result<Option<IpAddr>, Error> {
    let mut addresses = addresses.iter().copied().filter(|address| family.has(*address));
    let first = addresses.next();
    addresses.next().map_or(Ok(first), |second| Err(Error::SecondRequested(second)))
}

fn check_claimed(
    owner: &str,
    row: &Allocation,
    request: &Request<'_>,
    now: u64,
) -> Result<IpAddr, Error> {
    let address = row.address;
    match &row.holder {
        Holder::Attached { id } => {
            Err(Error::OwnerBusy { owner: owner.to_owned(), address, id: id.clone() })
        }
        Holder::Held { .. } if (request.taken)(address) => Err(Error::InUse(address)),
        Holder::Held { .. } => Ok(address),
        Holder::Cooling { .. } | Holder::Conflict { .. } => Err(taken(row, now)),
    }
}

pub(super) fn taken(row: &Allocation, now: u64) -> Error {
    Error::Taken { row: Box::new(row.clone()), now }
}
