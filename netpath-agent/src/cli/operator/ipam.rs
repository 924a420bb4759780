//! `netpath ipam`: who has which address.

use std::{
    net::IpAddr,
    num::NonZeroU64,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    arguments::Format,
    output::{show, show_change, table},
};
use crate::{
    api::{
        Client, client,
        ipam::{Release, Reserve},
    },
    cli::{FAILED, OK},
    ipam::{Allocation, Holder, PoolStatus, Problem},
};

/// What can be asked and told about addresses.
#[derive(Debug, Subcommand)]
pub(super) enum Ipam {
    /// Pools and how full they are, and every address that is not free.
    Show,
    /// Let go what keeps an address: an owner's claim, a cool-down, a conflict, or a pod that is
    /// gone.
    #[command(after_help = "\
Examples:
  netpath ipam release 10.0.1.7
  netpath ipam release --owner default/web-0")]
    Release(What),
    /// Make an address, free or used by a pod, an owner's fixed one.
    Reserve {
        /// The address.
        address: IpAddr,
        /// The owner, such as default/web-0.
        owner: String,
        /// How long it waits while no pod uses it; until it is released if not given.
        #[arg(long)]
        seconds: Option<NonZeroU64>,
    },
    /// Compare allocations with the pods that are there; exit code 1 if they do not agree.
    Check,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct What {
    /// The address.
    address: Option<IpAddr>,
    /// All fixed addresses of this owner instead.
    #[arg(long)]
    owner: Option<String>,
}

/// What `show` answers.
#[derive(Debug, Serialize)]
struct Shown {
    pools: Vec<PoolStatus>,
    addresses: Vec<Allocation>,
}

/// Asks the agent, prints its answer and returns the exit code.
pub(super) async fn run(
    agent: &Client,
    output: Format,
    command: Ipam,
) -> Result<u8, client::Error> {
    match command {
        Ipam::Show => {
            let (pools, addresses) = (agent.pools().await?, agent.allocations().await?);
            show(output, &Shown { pools, addresses }, |shown| shown.text(now()));
        }
        Ipam::Release(What { address, owner }) => {
            let release = address.map(Release::Address).or(owner.map(Release::Owner));
            // clap sees to it that one of the two is given.
            if let Some(release) = release {
                let released = agent.release_addresses(&release).await?;
                let list: Vec<_> = released.iter().map(|row| row.address.to_string()).collect();
                show_change(output, &released, &format!("released {}", list.join(", ")));
            }
        }
        Ipam::Reserve { address, owner, seconds } => {
            let row = agent.reserve_address(&Reserve { address, owner, seconds }).await?;
            show_change(output, &row, &format!("{} {row}", row.address));
        }
        Ipam::Check => {
            let found = agent.check_addresses().await?;
            show(output, &found, |list| problems(list));
            return Ok(if found.is_empty() { OK } else { FAILED });
        }
    }
    Ok(OK)
}

impl Shown {
    fn text(&self, now: u64) -> String {
        let pools = self.pools.iter().map(|pool| {
            let PoolStatus { name, subnet, gateway, default, size, .. } = pool;
            let words = [name.clone(), subnet.to_string(), or_dash(gateway.as_ref())];
            let numbers = [
                *size,
                pool.used,
                pool.held,
                pool.cooling,
                pool.conflicting,
                pool.reserved,
                pool.free,
            ];
            let default = if *default { "yes" } else { "no" }.to_owned();
            let numbers = numbers.map(|number| number.to_string());
            words.into_iter().chain([default]).chain(numbers).collect()
        });
        let header = [
            "pool", "subnet", "gateway", "default", "size", "used", "held", "cooling", "conflict",
            "reserved", "free",
        ];
        let mut text = table(&header, &[4, 5, 6, 7, 8, 9, 10], pools.collect());
        if !self.addresses.is_empty() {
            let rows = self.addresses.iter().map(|row| address(row, now)).collect();
            text.push('\n');
            text += &table(&["address", "pool", "state", "holder", "owner", "left"], &[5], rows);
        }
        text
    }
}

fn address(row: &Allocation, now: u64) -> Vec<String> {
    let Allocation { address, pool, holder, claim, since: _ } = row;
    let (state, who) = match holder {
        Holder::Attached { id } => ("attached", Some(id.to_string())),
        Holder::Held { .. } => ("held", None),
        Holder::Cooling { .. } => ("cooling", None),
        Holder::Conflict { mac, .. } => ("conflict", Some(mac.clone())),
    };
    let left = holder.until().map(|until| format!("{}s", until.saturating_sub(now)));
    vec![
        address.to_string(),
        pool.clone().unwrap_or_else(|| "(none)".to_owned()),
        state.to_owned(),
        or_dash(who.as_ref()),
        or_dash(claim.as_ref().map(|claim| &claim.owner)),
        or_dash(left.as_ref()),
    ]
}

fn problems(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "allocations and endpoints agree\n".to_owned();
    }
    let rows = problems.iter().map(|problem| {
        let Problem { address, kind, detail } = problem;
        vec![address.to_string(), kind.to_string(), detail.clone()]
    });
    table(&["address", "problem", "detail"], &[], rows.collect())
}

fn or_dash(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
