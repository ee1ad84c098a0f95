"""What is wrong with a value, in words for the one who gave it."""

from pydantic_core import ErrorDetails


def tell_problem(problem: ErrorDetails) -> str:
    """What pydantic says of a value, without the words that it puts before the messages of our own checks."""
    return problem["msg"].removeprefix("Value error, ")
