"""Teacher algorithms for curriculum learning of Deep RL in continuously parameterized environments."""
