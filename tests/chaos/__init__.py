"""The chaos rig: faults on purpose, and the proof that nothing was lost and nothing doubled."""
