//! The controller: decides and acts.
