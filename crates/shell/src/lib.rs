//! Placeholder while the seam is being cut.
