//! From the seam over the switch.
