"""How fast trapsort is beside the way that was published, measured in one run."""
