//! What the tests of netpath are made of: a sandbox of network namespaces with a VPC router,
//! nodes, pods and a remote host, the scenarios that real programs must pass in it, and an API
//! server of Kubernetes that the agent can not tell from a real one.

pub mod apiserver;
pub mod cni;
pub mod program;
pub mod sandbox;
