//! A client of the Instance-HA API: what the monitors say to it.
