"""How Over-Parameterization Slows Down Gradient Descent in Matrix Sensing."""
