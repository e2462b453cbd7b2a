"""From a feature service's columns to model inputs."""
