"""Simulation with Qiskit Aer, and circuits from qiskit's formats. The only importer of qiskit, slow to load."""
