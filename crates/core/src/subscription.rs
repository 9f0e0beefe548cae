//! How a position becomes a delivery.
