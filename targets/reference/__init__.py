"""A reference hybrid quantum-classical inference service: guarded, metered, audited, and honest about fallbacks."""
