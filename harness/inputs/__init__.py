"""What the user gives: target.yaml, scenario.yaml, an OpenAPI document. Read, checked, and turned into values."""
