"""More is Better in Modern Machine Learning: when Infinite Overparameterization is Optimal and Overfitting is Obligatory."""
