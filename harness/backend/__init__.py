"""The simulated quantum backend: devices, queue, job life cycle, and circuits on Aer."""
