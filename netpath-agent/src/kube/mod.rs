//! The Kubernetes cluster that the node is in: what it wants of the node.
//!
//! Nothing here changes the node: who watches is told what there is, in netpath's own words, and what
//! was heard stays true while the API server is silent.
//!
//! | file | part |
//! | --- | --- |
//! | `client` | the way to the API server |
//! | `fixed` | addresses that pods keep, from `FixedIP` |
//! | `keeper` | taking blocks of pools, and giving them back |
//! | `objects` | what is read of the cluster's objects |
//! | `pods` | what the pods of the node ask for |
//! | `pools` | pools of addresses, from `IPPool` and `IPBlock` |
//! | `reflect`, `watch` | following the objects of a kind |
//! | `report` | what the cluster is told of nodes, pools and networks |
//! | `request` | what the API server is asked |
//! | `services` | Services, from `Service` and `EndpointSlice` |
//! | `types` | the custom resources of netpath.io |
//! | `zone` | the zone of the node, from `Node` |

mod chance;
mod client;
mod error;
pub mod fixed;
pub mod keeper;
mod objects;
pub mod pods;
pub mod pools;
mod reflect;
pub mod report;
mod request;
pub mod services;
pub mod types;
mod watch;
pub mod zone;

pub use self::{client::client, error::Error, request::Failed};
