"""Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances."""
