"""MemControl: Mitigating Memorization in Diffusion Models via Automated Parameter Selection."""
