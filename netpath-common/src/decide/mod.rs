//! The decision: from a parsed packet and the tables to a verdict.
//!
//! One function a hook: [`egress`], [`ingress`] and [`wire`] (XDP) of a parent, [`from_endpoint`] and
//! [`to_endpoint`] of an endpoint's own device, [`loopback`] of the node's. They are pure: what they know
//! comes from their arguments, what they want done is in the verdict. What is to a Service or of one goes
//! on with [`translate`] and [`onward`]. The frequent case, an IP
//! packet of an endpoint or of the node, is decided in line; the rest is in functions of its own.

mod delivery;
mod destination;
mod device;
mod egress;
mod ingress;
mod loopback;
mod neighbour;
mod onward;
mod source;
mod translate;
mod wire;

pub use destination::{next_hop, route_of};
pub use device::{from_endpoint, to_endpoint};
pub use egress::{Origin, egress};
pub use ingress::ingress;
pub use loopback::loopback;
pub use onward::{next_hop_onward, onward};
pub use translate::{Crossing, HIDING_PORTS, NEXT_TRY, Translated, Work, translate};
pub use wire::wire;
