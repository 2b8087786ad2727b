"""The student's side of `check.triton`: runs Triton kernels on a machine without a GPU, and looks at what they are.

    answer ──> sources            which cells' statements the probe needs
       ├─────> interpret          own process: Triton's interpreter, traffic counted, launches recorded
       ├─────> compile            own process: machine code for GPUs that are not there
       └─────> timed              own process: seconds, where there is a GPU

Processes of their own, because Triton decides when it is imported, and when a kernel is defined, whether it interprets.
"""
