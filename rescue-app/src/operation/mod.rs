//! What Lifeboat does: blocking functions with typed events, shared by menu and command line.
