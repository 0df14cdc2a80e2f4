//! The monitors: what happens on a hypervisor is told to the Instance-HA API.

fn main() {}
