"""One running target with its doubles, faults and clock, in which a plan is played."""
