//! Routes of the kernel.

mod add;
