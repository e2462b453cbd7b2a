"""Training, tuning and keeping models."""
