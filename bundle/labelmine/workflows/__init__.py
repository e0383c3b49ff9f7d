"""A room per workflow: one object whose methods are the stages that its config runs."""
