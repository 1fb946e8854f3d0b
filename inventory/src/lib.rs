//! What a server is: pure values, no input or output.
