import sys

sys.path.insert(0, "/work/main/tests/clients/programs")
from _loop import run
from qiskit import QuantumCircuit
from qiskit_ionq import IonQProvider

p = IonQProvider()


def bell(shots=1000):
    be = p.get_backend("simulator")
    qc = QuantumCircuit(2, 2)
    qc.h(0)
    qc.cx(0, 1)
    qc.measure([0, 1], [0, 1])
    return dict(be.run(qc, shots=shots).result(wait=0.1).get_counts())


run(bell=bell)
