"""Settings, the command line, the local stack: the room that wires all others together."""
