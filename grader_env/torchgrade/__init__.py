"""The PyTorch course that grades itself: checks for students, graders for instructors, tools for authors."""

__version__ = "0.1.0"
