"""The accelerator as a target: layers to jobs, and what they cost."""
