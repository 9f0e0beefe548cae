//! The five ways of reading, and the drivers that carry them over sockets.
