"""OpenQASM 3 and 2, as far as circuits need them, read straight into circuits, within bounds of time and memory."""
