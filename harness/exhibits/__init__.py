"""Pure views that reports share: a run with its rules, a finding in plain words, a history as lanes on an axis."""
