//! What the programs and the agent agree on to tell network namespaces apart.

/// Offset of `skc_net` in `struct sock_common`, in bytes: the pointer to the namespace that a socket
/// is at home in. It has not moved since Linux 4.1; the agent compares it with the kernel's own
/// types before the programs rely on it.
pub const SOCKET_NAMESPACE: usize = 48;
