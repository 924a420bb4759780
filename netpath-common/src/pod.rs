//! User space reads and writes map values as plain bytes.

#[cfg(feature = "user")]
mod user {
    use crate::{
        Address, Affinity, AffinityKey, Backend, Connection, Counter, CounterKey, Endpoint,
        EndpointCount, EndpointEntry, Flow, FlowKey, Node, Parent, Route, Service, ServiceKey,
        SocketKey, SocketPeer, route::RouteData,
    };

    macro_rules! pod {
        ($($name:ty),+ $(,)?) => {$(
            // SAFETY: repr(C), made of integers and arrays of them, without padding (its size is
            // asserted beside the type): every bit pattern is a value.
            unsafe impl aya::Pod for $name {}
        )+};
    }

    pod!(
        Address,
        Affinity,
        AffinityKey,
        Backend,
        Connection,
        Counter,
        CounterKey,
        Endpoint,
        EndpointCount,
        EndpointEntry,
        Flow,
        FlowKey,
        Node,
        Parent,
        Route,
        RouteData,
        Service,
        ServiceKey,
        SocketKey,
        SocketPeer,
    );
}
