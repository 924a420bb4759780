//! What the tests of netpath are made of: a sandbox of network namespaces with a VPC router,
//! nodes, pods and a remote host, and the scenarios that real programs must pass in it.

pub mod cni;
pub mod program;
pub mod sandbox;
