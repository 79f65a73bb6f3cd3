"""What a task is: its channels, how their intensities are normalised, its grid, loss and judge."""

from .registry import TASKS, find_task
from .task import Channel, Recipe, Task

__all__ = ["TASKS", "Channel", "Recipe", "Task", "find_task"]
