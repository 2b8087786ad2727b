"""The class on Kubernetes: values for the chart Zero to JupyterHub 4.4.0 (JupyterHub 5.5.0), and manifests beside it.

`layout`, `access`, `gpu`, `values`, `storage`, `network`, `jobs`, `dask` and `monitoring` are pure: a description in,
dicts out; `render` writes them. `class_pods` runs in the hub's pod, `exchange` in people's servers, `folders`,
`sync_roster`, `backup` and `grader_home` in pods of the grader's image.
"""
