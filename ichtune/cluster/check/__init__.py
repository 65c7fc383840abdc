"""Checks of the files that describe a cluster: Ray's own YAML, KubeRay's, and SLURM's scripts."""
