//! Enrolment: from BMC addresses to nodes.
