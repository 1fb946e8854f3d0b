//! A Redfish client for Dell iDRAC and other BMCs: sessions, pinned certificates, jobs, virtual media.
