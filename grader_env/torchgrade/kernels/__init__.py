"""The student's Jupyter kernel: how it runs inside the sandbox, and how the grader talks to it."""
