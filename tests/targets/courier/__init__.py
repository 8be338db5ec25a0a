"""A small quantum-job service unlike the reference: the harness must fit it as it is."""
