"""A class in JupyterHub: one description (hub_config/) becomes roles, services, limits and profiles.

Nothing else of torchgrade depends on this. `description`, `class_file`, `roster_file`, `access`, `gpu` and `settings`
are pure: files and dicts in, dicts out, so that one machine and a cluster get their rules from the same place.
"""
