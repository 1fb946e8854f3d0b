//! Starts the controller and stops it.
