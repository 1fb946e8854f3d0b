//! Runs on the node: reports GPU and fabric telemetry, and writes the OS image from the deploy ramdisk.
